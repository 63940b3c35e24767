//! What a skip would cost.

use std::sync::Arc;

use burn::tensor::Tensor;
use invardiff_calib::{AtlasOptions, CalibError, Concurrency, Run, Session, Substitute};
use invardiff_plan::least_error::SkipErrors;
use invardiff_plan::{CachePlan, GateSite, OutputForm, ReuseRule, TimeAxis};
use invardiff_runtime::{
    Denoiser, Event, Executor, Full, Observed, Policy, Replay, Sampler, Site, Topology, sample_with,
};

use crate::toy::{JOINT, Toy, bits, runs, session, solver, time, values};

const STEPS: usize = 9;
const LINEAR: ReuseRule = ReuseRule::Extrapolate(1);
const SITES: [GateSite; 4] = [
    GateSite::Trunk,
    GateSite::Output(OutputForm::X0),
    GateSite::Output(OutputForm::Epsilon),
    GateSite::Output(OutputForm::Velocity),
];

/// One uncached step: the sample before it, the prediction, the hidden state, the sample after it.
struct Step {
    x: Tensor<3>,
    prediction: Tensor<3>,
    trunk: Tensor<3>,
    next: Tensor<3>,
}

fn uncached(run: &Run<3, Tensor<3>>) -> Vec<Step> {
    let (toy, sampler) = (Toy::seeded(1), solver(STEPS));
    let mut history = Sampler::<3>::start(&sampler);
    let mut x = run.noise.clone();
    let walk = (0..STEPS).map(|step| {
        let mut seen = None;
        let look = |_, site, event: Event<'_>| {
            if let (Site::TRUNK, Event::Computed([value])) = (site, event) {
                seen = Some(value.clone());
            }
        };
        let mut policy = Observed::new(Full, look);
        let prediction = toy.predict(&mut policy.step(step), x.clone(), time(&sampler, step), &run.cond);
        let next = sampler.advance(&mut history, step, x.clone(), prediction.clone());
        let before = std::mem::replace(&mut x, next.clone());
        Step { x: before, prediction, trunk: seen.unwrap(), next }
    });
    walk.collect()
}

fn mean_square(a: &Tensor<3>, b: &Tensor<3>) -> f64 {
    let squares = values(a).into_iter().zip(values(b)).map(|(a, b)| f64::from(a - b).powi(2));
    squares.clone().sum::<f64>() / squares.count() as f64
}

/// The mean square change of the clean sample predicted at `step` when a weighted sum of the values at other steps stands
/// in there: with nothing of the crate under test, and from the next sample, by really taking the step.
fn price(site: GateSite, steps: &[Step], step: usize, parts: &[(usize, f64)]) -> f64 {
    let sampler = solver(STEPS);
    let kept = |anchor: usize| {
        let Step { x, prediction, trunk, .. } = &steps[anchor];
        match site {
            GateSite::Trunk => trunk.clone(),
            GateSite::Output(form) => {
                let level = sampler.noise_level(anchor);
                level.convert(x.clone(), prediction.clone(), OutputForm::Velocity, form)
            }
        }
    };
    let summed = parts.iter().map(|(anchor, weight)| kept(*anchor) * *weight).reduce(|a, b| a + b).unwrap();
    let Step { x, next, .. } = &steps[step];
    let prediction = match site {
        GateSite::Trunk => Toy::seeded(1).head(summed, time(&sampler, step)),
        GateSite::Output(form) => {
            sampler.noise_level(step).convert(x.clone(), summed, form, OutputForm::Velocity)
        }
    };
    // A first-order sampler: what it remembers plays no part.
    let mut history = Sampler::<3>::start(&sampler);
    mean_square(&sampler.advance(&mut history, step, x.clone(), prediction), next) / weight(step).powi(2)
}

/// How much of the predicted clean sample the next sample holds.
fn weight(step: usize) -> f64 {
    Sampler::<3>::output_weight(&solver(STEPS), step)
}

/// The error of an entry without the step's importance.
fn error(atlas: &SkipErrors, rule: ReuseRule, step: usize, b: usize, a: Option<usize>) -> Option<f64> {
    atlas.error(rule, step, b, a).map(|error| error / atlas.importance()[step])
}

fn measured(options: &AtlasOptions) -> SkipErrors {
    session(&Toy::seeded(1), &solver(STEPS), &runs(2)).skip_errors(options).unwrap()
}

/// f32 differences of samples of order 1, squared.
fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-3 * expected + 1e-12
}

#[test]
fn entries_are_what_a_skip_changes_in_the_predicted_clean_sample() {
    let trajectories: Vec<Vec<Step>> = runs(2).iter().map(uncached).collect();
    let options = AtlasOptions::default();
    for gate_site in SITES {
        for (axis, window) in [(TimeAxis::Step, 3), (TimeAxis::Sampler, 2), (TimeAxis::Sampler, STEPS)] {
            let atlas = measured(&options.with_gate_site(gate_site).with_axis(axis).with_window(window));
            let time = |step: usize| match axis {
                TimeAxis::Step => step as f64,
                TimeAxis::Sampler => Sampler::<3>::schedule_time(&solver(STEPS), step),
            };
            for (step, b, a) in triples() {
                let found = error(&atlas, LINEAR, step, b, a);
                let inside = step - b <= window && a.is_none_or(|a| b - a <= window);
                assert_eq!(found.is_some(), inside, "{window}: {step} {b} {a:?}");
                let Some(found) = found else { continue };
                let ahead = |a: usize| (time(step) - time(b)) / (time(b) - time(a));
                let parts = match a {
                    None => vec![(b, 1.0)],
                    Some(a) => vec![(b, 1.0 + ahead(a)), (a, -ahead(a))],
                };
                let prices = trajectories.iter().map(|steps| price(gate_site, steps, step, &parts));
                let expected = prices.sum::<f64>() / 2.0;
                assert!(near(found, expected), "{gate_site:?} {step} {b} {a:?}: {found} {expected}");
            }
        }
    }
}

#[test]
fn several_sites_are_measured_in_one_pass_as_they_are_alone() {
    let options = AtlasOptions::default();
    let (toy, solver, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
    let session = session(&toy, &solver, &runs);
    let together = session.skip_errors_at(&SITES, &options).unwrap();
    let alone: Vec<SkipErrors> =
        SITES.into_iter().map(|gate_site| measured(&options.with_gate_site(gate_site))).collect();
    assert_eq!(together.len(), SITES.len());
    for (one, other) in together.iter().zip(&alone) {
        assert_eq!(one.to_bytes().unwrap(), other.to_bytes().unwrap(), "{:?}", other.gate_site());
    }
    assert!(session.skip_errors_at(&[], &options).unwrap().is_empty());
}

/// Every step with every earlier one, alone and with every one before that.
fn triples() -> impl Iterator<Item = (usize, usize, Option<usize>)> {
    let pairs = (0..STEPS).flat_map(|step| (0..step).map(move |b| (step, b)));
    pairs.flat_map(|(step, b)| (0..b).map(Some).chain([None]).map(move |a| (step, b, a)))
}

/// The price of a single skip is what a replay of that plan pays.
#[test]
fn a_replayed_skip_costs_what_the_atlas_says() {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    for gate_site in SITES {
        let options = AtlasOptions::default().with_gate_site(gate_site).with_window(2);
        let atlas = session(&toy, &solver(STEPS), &runs(1)).skip_errors(&options).unwrap();
        for (rule, first) in [(ReuseRule::Hold, 1), (LINEAR, 2)] {
            for skipped in first..STEPS {
                let gate = (0..STEPS).map(|step| step == skipped).collect();
                let plan = CachePlan::gate_only(&toy.topology, gate).with_gate_rule(gate_site, rule);
                let mut replay = Replay::new(Arc::new(plan.schedule(&toy.topology).unwrap()));
                let mut after = Vec::new();
                let look = |_: &Replay, _, x: &Tensor<3>| after.push(x.clone());
                sample_with(&toy, &solver(STEPS), &mut replay, run.noise.clone(), &run.cond, look);
                let paid = mean_square(&after[skipped], &uncached(run)[skipped].next);
                let told = error(&atlas, rule, skipped, skipped - 1, skipped.checked_sub(2)).unwrap();
                let told = told * weight(skipped).powi(2);
                assert!(paid > 0.0 && near(told, paid), "{gate_site:?} {rule:?} {skipped}: {told} {paid}");
            }
        }
    }
}

#[test]
fn runs_in_parallel_are_runs_in_sequence() {
    for gate_site in SITES {
        let options = AtlasOptions::default().with_gate_site(gate_site);
        let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(2));
        let session = session(&toy, &sampler, &runs).with_concurrency(Concurrency::Parallel);
        let together = session.skip_errors(&options).unwrap();
        let expected = measured(&options);
        assert_eq!(together.runs(), 2);
        for (step, b, a) in expected.entries() {
            let error = |atlas: &SkipErrors| atlas.error(LINEAR, step, b, a).map(f64::to_bits);
            assert_eq!(error(&together), error(&expected));
            assert!(error(&expected).is_some());
        }
    }
}

/// The true feature in its place gives the full prediction bit for bit, and nothing inside of it is computed.
#[test]
fn substituting_what_is_there_changes_no_bit() {
    let (toy, sampler, run) = (Toy::seeded(1), solver(STEPS), &runs(1)[0]);
    let predict = |exec: &mut Substitute| toy.predict(exec, run.noise.clone(), time(&sampler, 0), &run.cond);
    for site in [Site::TRUNK, Site::new(JOINT, 1)] {
        let mut feature = Vec::new();
        let look = |_, at, event: Event<'_>| {
            if let Event::Computed(tensors) = event
                && at == site
            {
                feature = tensors.to_vec();
            }
        };
        let mut policy = Observed::new(Full, look);
        let full = toy.predict(&mut policy.step(0), run.noise.clone(), time(&sampler, 0), &run.cond);
        assert_eq!(bits(&predict(&mut Substitute::new(site, feature.clone()))), bits(&full), "{site}");
        let other = feature.into_iter().map(|tensor| tensor + 0.25).collect();
        assert_ne!(bits(&predict(&mut Substitute::new(site, other))), bits(&full), "{site}");
    }
}

#[test]
#[should_panic(expected = "joint[0] has 2 tensors, 1 stand in for them")]
fn a_substitute_with_too_few_tensors_is_no_substitute() {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    let mut exec = Substitute::new(Site::new(JOINT, 0), vec![run.noise.clone()]);
    toy.predict(&mut exec, run.noise.clone(), 0.0, &run.cond);
}

/// A forward without a trunk.
struct Bare;

impl Denoiser<3> for Bare {
    type Cond = Tensor<3>;

    fn topology(&self) -> Topology {
        Toy::seeded(1).topology
    }

    fn predict<E: Executor>(&self, _: &mut E, x: Tensor<3>, t: f32, _: &Tensor<3>) -> Tensor<3> {
        x.tanh() * (t / 500.0).cos()
    }
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_reason() {
    let options = AtlasOptions::default();
    let (sampler, one) = (solver(STEPS), runs(1));
    let noisy = solver(STEPS).with_eta(0.5, 1).unwrap();
    let error = Session::new(&Bare, &noisy, &one).unwrap_err();
    assert!(error.to_string().contains("eta = 0.5"), "{error}");
    let error = Session::new(&Bare, &sampler, &[]).unwrap_err();
    assert!(matches!(error, CalibError::NoRuns), "{error}");
    let session = Session::new(&Bare, &sampler, &one).unwrap();
    let error = session.skip_errors(&options.with_window(0)).unwrap_err();
    assert!(error.to_string().contains("window of an error atlas is 0"), "{error}");
    let error = session.skip_errors(&options.with_gate_site(GateSite::Trunk)).unwrap_err();
    assert!(matches!(error, CalibError::Sites { .. }), "{error}");
    // The output of a model without sites can be skipped all the same, and one step leaves nothing to skip.
    let atlas = session.skip_errors(&options).unwrap();
    assert!(atlas.error(ReuseRule::Hold, 1, 0, None).unwrap() > 0.0);
    let single = Session::new(&Bare, &solver(1), &one).unwrap().skip_errors(&options).unwrap();
    assert_eq!((single.runs(), single.entries().len()), (1, 0));
}
