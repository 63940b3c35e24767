//! From runs to a plan.

use std::sync::Arc;

use burn::tensor::Tensor;
use invardiff_calib::{CalibError, Concurrency, Outcome, RecordOptions, Run, Session};
use invardiff_plan::two_phase::{
    DistanceTable, Precision, ReuseMasks, Settings, TwoPhase, Variant, change_rate,
};
use invardiff_plan::{Kind, PlanError};
use invardiff_runtime::{Denoiser, Executor, Replay, RuntimeError, Sampler, Site, Topology};

use crate::toy::{
    JOINT, JOINT_TEXT, MIX, Toy, Units, features, options, runs, session, settings, solver, trajectory,
};

const STEPS: usize = 16;

/// Settings under which every variant skips steps and reuses modules.
fn all_settings() -> Vec<Settings> {
    let of_variant = |variant| {
        let quantiles = [(0.4, [0.3, 0.5, 0.6]), (0.7, [0.8, 0.9, 0.7]), (0.0, [0.9, 0.9, 0.9])];
        quantiles.map(|(gate, modules)| settings(variant, gate, modules))
    };
    [Variant::Dit, Variant::Flux, Variant::Wan].into_iter().flat_map(of_variant).collect()
}

fn calibrated(settings: &Settings, options: &RecordOptions) -> Outcome {
    session(&Toy::seeded(1), &solver(STEPS), &runs(3)).two_phase(settings, options).unwrap()
}

#[test]
fn a_small_window_and_a_second_pass_find_what_a_full_window_finds() {
    let mut seconds = 0;
    for settings in all_settings() {
        let full = calibrated(&settings, &options(STEPS));
        assert_eq!(full.passes, 1);
        assert!(full.plan.skipped_steps() + full.plan.reused_modules() > 5);
        for (module_window, trunk_window) in [(1, 1), (2, 1), (4, 4), (10, 10)] {
            let narrow =
                calibrated(&settings, &RecordOptions { module_window, trunk_window, ..options(STEPS) });
            assert_eq!(narrow.phases, full.phases, "{settings:?}");
            assert_eq!(narrow.plan, full.plan);
            assert_eq!(narrow.similarities, full.similarities);
            seconds += narrow.passes - 1;
        }
    }
    assert!((18..36).contains(&seconds), "{seconds} of 36 needed a second pass");
}

#[test]
fn runs_in_parallel_are_runs_in_sequence() {
    let settings = settings(Variant::Dit, 0.6, [0.6, 0.8, 0.7]);
    for window in [2, STEPS] {
        let narrow = RecordOptions { module_window: window, trunk_window: window, ..options(STEPS) };
        let alone = calibrated(&settings, &narrow);
        for _ in 0..5 {
            let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(3));
            let session = session(&toy, &sampler, &runs).with_concurrency(Concurrency::Parallel);
            let together = session.two_phase(&settings, &narrow).unwrap();
            assert_eq!(together.tables, alone.tables);
            assert_eq!(together.similarities, alone.similarities);
            assert_eq!((together.phases, together.plan), (alone.phases.clone(), alone.plan.clone()));
        }
    }
}

/// Rates of the published procedure, taken literally: features of `[step]`, one book.
fn rates_by_hand(features: &[Vec<f32>], book: &[bool]) -> Vec<f32> {
    let (mut previous, mut current, mut frozen) = (&features[0], &features[1], false);
    let mut rates = vec![1.0; features.len()];
    for k in 2..features.len() {
        rates[k - 1] = change_rate(previous, current, &features[k], Precision::F32).unwrap();
        if !book[k - 1] {
            (previous, current, frozen) = (current, &features[k], false);
        } else if !frozen {
            (previous, current, frozen) = (current, &features[k], true);
        }
    }
    rates
}

/// Mean rates of a phase under `books`, as `[stream][step]`.
fn mean_by_hand(phases: &TwoPhase, books: Option<&ReuseMasks>) -> Vec<Vec<f64>> {
    let table = streams();
    let mut sums = vec![vec![0.0; STEPS]; table.len()];
    for run in runs(3) {
        let features = features(&Toy::seeded(1), STEPS, &run);
        for (stream, (kind, layer)) in table.iter().enumerate() {
            let book = match (books, *kind) {
                (Some(books), Kind::TRUNK) if phases.variant.corrects_gate() => books.gate().to_vec(),
                (None, _) | (Some(_), Kind::TRUNK) => vec![false; STEPS],
                (Some(books), kind) => books.stream(kind).unwrap().column(*layer as usize).to_vec(),
            };
            for (sum, rate) in sums[stream].iter_mut().zip(rates_by_hand(&features[stream], &book)) {
                *sum += f64::from(rate) / 3.0;
            }
        }
    }
    sums
}

fn streams() -> Vec<(Kind, u32)> {
    let table = DistanceTable::for_topology(&Toy::seeded(1).topology, STEPS, 1).unwrap();
    table.streams().to_vec()
}

#[test]
fn rates_are_those_of_two_passes_over_the_features() {
    for settings in all_settings() {
        let TwoPhase { first, second, .. } = &calibrated(&settings, &RecordOptions::default()).phases;
        let phases = calibrated(&settings, &RecordOptions::default()).phases;
        let second = second.as_ref().unwrap();
        for (phase, books) in [(first, None), (second, Some(&phases.provisional))] {
            let by_hand = mean_by_hand(&phases, books);
            for ((kind, layer), expected) in streams().into_iter().zip(by_hand) {
                let found = match kind {
                    Kind::TRUNK => phase.rates.trunk(),
                    kind => phase.rates.stream(kind).unwrap().column(layer as usize),
                };
                for (found, expected) in found.iter().zip(expected) {
                    // A quotient of two sums in f32; the fixtures ask for 1e-5 as well.
                    assert!((f64::from(*found) / expected - 1.0).abs() < 1e-5, "{kind}[{layer}]");
                }
            }
        }
    }
}

#[test]
fn a_joint_site_is_reused_where_all_of_its_streams_agree() {
    let mut disagreements = 0;
    for quantiles in [[0.0, 0.5, 0.5], [0.0, 0.9, 0.6], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] {
        let found = calibrated(&settings(Variant::Flux, 0.3, quantiles), &options(STEPS));
        let book = |kind| found.phases.masks.stream(kind).unwrap();
        let both = book(JOINT) & book(JOINT_TEXT);
        assert_eq!(found.plan.of_kind(JOINT), both);
        disagreements += book(JOINT).iter().zip(&both).filter(|(one, both)| one != both).count();
    }
    assert!(disagreements > 10, "{disagreements}");
}

#[test]
fn a_plan_says_how_it_was_made_and_runs() {
    let (toy, settings) = (Toy::seeded(1), settings(Variant::Dit, 0.5, [0.4, 0.5, 0.5]));
    let narrow = RecordOptions { module_window: 1, trunk_window: 1, ..RecordOptions::default() };
    let (sampler, runs, units) = (solver(STEPS), runs(3), Units::default());
    let session = session(&toy, &sampler, &runs).with_progress(&units);
    let found = session.two_phase(&settings, &narrow).unwrap();
    assert_eq!((found.passes, units.count.into_inner()), (2, 6));
    assert_eq!(found.plan.provenance.method, "invardiff-dit");
    assert_eq!(found.plan.provenance.warm_up, Some(2));
    let kinds: Vec<_> = found.plan.provenance.thresholds.iter().map(|threshold| threshold.kind).collect();
    assert_eq!(kinds, [Kind::TRUNK, MIX, JOINT, JOINT_TEXT]);
    let mut replay = Replay::new(Arc::new(found.plan.schedule(&toy.topology).unwrap()));
    assert_eq!(trajectory(&toy, STEPS, &mut replay, &runs[0]).len(), STEPS);
    assert!(replay.store().is_empty() && replay.store().peak_bytes() > 0);
}

fn refusal<M, S>(
    model: &M,
    sampler: &S,
    count: u64,
    settings: &Settings,
    options: &RecordOptions,
) -> CalibError
where
    M: Denoiser<3, Cond = Tensor<3>> + Sync,
    S: Sampler<3> + Sync,
{
    let runs: Vec<Run<3, Tensor<3>>> = runs(count);
    match Session::new(model, sampler, &runs) {
        Ok(session) => session.two_phase(settings, options).unwrap_err(),
        Err(error) => error,
    }
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_reason() {
    let (toy, settings, options) = (Toy::seeded(1), &all_settings()[0], &options(STEPS));
    let noisy = solver(STEPS).with_eta(0.5, 1).unwrap();
    let error = refusal(&toy, &noisy, 2, settings, options);
    assert!(matches!(error, CalibError::Runtime(RuntimeError::Stochastic { .. })), "{error}");
    assert!(error.to_string().contains("eta = 0.5"), "{error}");
    let error = refusal(&toy, &solver(STEPS), 0, settings, options);
    assert!(matches!(error, CalibError::NoRuns), "{error}");
    for (module_window, trunk_window) in [(0, 3), (3, 0)] {
        let options = RecordOptions { module_window, trunk_window, ..options.clone() };
        let error = refusal(&toy, &solver(STEPS), 2, settings, &options);
        assert!(error.to_string().contains("window of a distance table is 0"), "{error}");
    }
    let error = refusal(&toy, &solver(2), 2, settings, options);
    assert!(matches!(error, CalibError::Plan(PlanError::TooFewSteps { steps: 2, .. })), "{error}");
}

/// The toy's topology, and a forward that must not be asked.
struct Unasked;

impl Denoiser<3> for Unasked {
    type Cond = Tensor<3>;

    fn topology(&self) -> Topology {
        Toy::seeded(1).topology
    }

    fn predict<E: Executor>(&self, _: &mut E, _: Tensor<3>, _: f32, _: &Tensor<3>) -> Tensor<3> {
        panic!("the model was asked")
    }
}

#[test]
fn settings_that_do_not_fit_are_refused_before_the_model_runs() {
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(Variant::Dit, 0.5, [0.5; 3]);
        change(&mut settings);
        refusal(&Unasked, &solver(STEPS), 2, &settings, &options(STEPS)).to_string()
    };
    let lacking = refused(&|settings| {
        settings.quantiles.remove(&JOINT_TEXT);
    });
    assert!(lacking.contains("'joint_text' is missing from the quantiles"), "{lacking}");
    let unknown = refused(&|settings| {
        settings.quantiles.insert(Kind::MSA, 0.5);
    });
    assert!(unknown.contains("'msa' is missing from the calibration's streams"), "{unknown}");
    let far = refused(&|settings| settings.gate_quantile = 1.5);
    assert!(far.contains("1.5"), "{far}");
    let early = refused(&|settings| settings.warm_up = invardiff_plan::two_phase::WarmUp::Rate(-1.0));
    assert!(early.contains("warm-up"), "{early}");
    // A module cannot be called like the trunk.
    let mut toy = Toy::seeded(1);
    toy.topology.sites[2].site = Site::TRUNK;
    toy.topology.sites[2].streams[0].name = Kind::TRUNK;
    let error = refusal(&toy, &solver(STEPS), 2, &settings(Variant::Dit, 0.5, [0.5; 3]), &options(STEPS));
    assert!(error.to_string().contains("the trunk is always there"), "{error}");
}
