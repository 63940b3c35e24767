//! Both phases from given features, in the three published variants, against what the authors' scripts found.

#[path = "support/fixture.rs"]
mod fixture;

use std::collections::BTreeMap;

use fixture::Fixture;
use invardiff_plan::Kind;
use invardiff_plan::core::Threshold;
use invardiff_plan::two_phase::{
    DistanceTable, Phases, Precision, RateTable, ReuseMasks, Settings, TwoPhase, Variant, WarmUp, distance,
    missing_pairs, two_phase,
};
use ndarray::{Array1, Array2, ArrayD, Axis, Ix1, Ix2};

/// What distinguishes one fixture from the next.
struct Case {
    fixture: Fixture,
    /// `[run, step, layer, ...]` by stream; the trunk's have no layer.
    features: BTreeMap<Kind, ArrayD<f32>>,
    variant: Variant,
    /// Streams, each with the manifest's key of its quantile.
    streams: Vec<(Kind, &'static str)>,
    /// Which entries of the features' first axis are calibration runs.
    runs: Vec<usize>,
    /// What stands between phase and stream in a key of the rates.
    average: &'static str,
}

/// A fixture with its features read.
fn open(variant: Variant, streams: &[(Kind, &'static str)], runs: &[usize], average: &'static str) -> Case {
    let folder = match variant {
        Variant::Dit => "analyser_dit",
        Variant::Flux => "analyser_flux",
        Variant::Wan => "analyser_wan",
    };
    let fixture = Fixture::open(folder, "analyser.safetensors");
    let named = streams.iter().map(|(kind, _)| (*kind, kind.as_str())).chain([(Kind::TRUNK, "hidden")]);
    let features = named.map(|(kind, name)| (kind, fixture.f32(&format!("features.{name}")))).collect();
    Case { fixture, features, variant, streams: streams.to_vec(), runs: runs.to_vec(), average }
}

fn dit() -> Case {
    open(Variant::Dit, &[(Kind::MSA, "msa"), (Kind::MLP, "mlp")], &[0, 1], "avg_")
}

fn flux() -> Case {
    let streams = [
        (Kind::ATTN, "attn"),
        (Kind::CONTEXT_ATTN, "attn"),
        (Kind::FF, "ff"),
        (Kind::CONTEXT_FF, "context_ff"),
        (Kind::SINGLE_ATTN, "single_attn"),
        (Kind::SINGLE_MLP, "single_mlp"),
    ];
    open(Variant::Flux, &streams, &[0, 1], "avg_")
}

fn wan() -> Case {
    let streams = ["self_attn", "cross_attn", "ffn"].map(|name| (Kind::new(name), name));
    // Branch 0 is the conditional one, the only one that is measured.
    open(Variant::Wan, &streams, &[0], "")
}

impl Case {
    fn settings(&self, number: usize) -> Settings {
        let run = &self.fixture.manifest["runs"][number];
        let value = |key: &str| run[key].as_f64().unwrap();
        Settings {
            variant: self.variant,
            gate_quantile: value("step"),
            quantiles: self.streams.iter().map(|(kind, key)| (*kind, value(key))).collect(),
            warm_up: WarmUp::Rate(value("nonskip_rate")),
            phases: Phases::Two,
        }
    }

    fn count(&self) -> usize {
        self.fixture.manifest["runs"].as_array().unwrap().len()
    }

    /// The feature of a stream at a step, as one array.
    fn feature(&self, run: usize, (kind, layer): (Kind, u32), step: usize) -> Vec<f32> {
        let trunk = kind == Kind::TRUNK;
        let of_step = self.features[&kind].index_axis(Axis(0), run).index_axis_move(Axis(0), step);
        let of_layer = if trunk { of_step } else { of_step.index_axis_move(Axis(0), layer as usize) };
        of_layer.iter().copied().collect()
    }

    /// What a recorder with this window measures on one run.
    fn measure(&self, run: usize, window: usize) -> DistanceTable {
        let steps = self.fixture.manifest["steps"].as_u64().unwrap() as usize;
        let layers = |kind: Kind| self.features[&kind].shape()[2] as u32;
        let each = self.streams.iter().flat_map(|(kind, _)| (0..layers(*kind)).map(|layer| (*kind, layer)));
        let mut table = DistanceTable::new(steps, window, each.collect()).unwrap();
        for (stream, name) in table.streams().to_vec().into_iter().enumerate() {
            for to in 1..steps {
                for from in to.saturating_sub(window)..to {
                    self.record(&mut table, run, stream, name, from, to);
                }
            }
        }
        table
    }

    fn record(
        &self,
        table: &mut DistanceTable,
        run: usize,
        stream: usize,
        name: (Kind, u32),
        from: usize,
        to: usize,
    ) {
        let (earlier, later) = (self.feature(run, name, from), self.feature(run, name, to));
        let value = distance(&earlier, &later, Precision::F32).unwrap();
        table.record(stream, from, to, value).unwrap();
    }

    fn tables(&self, window: usize) -> Vec<DistanceTable> {
        self.runs.iter().map(|run| self.measure(*run, window)).collect()
    }

    /// The stored rates of a phase; the trunk's are those of phase 1 where phase 2 stores none.
    fn stored_rates(&self, number: usize, phase: usize) -> RateTable {
        let read = |phase: usize, name: &str| {
            self.fixture.f32(&format!("s{number}.phase{phase}.{}{name}", self.average))
        };
        let gate_phase = if self.variant.corrects_gate() { phase } else { 1 };
        let trunk: Array1<f32> = read(gate_phase, "step").into_dimensionality::<Ix1>().unwrap();
        let stream = |kind: Kind| read(phase, kind.as_str()).into_dimensionality::<Ix2>().unwrap();
        RateTable::new(trunk, self.streams.iter().map(|(kind, _)| (*kind, stream(*kind))).collect()).unwrap()
    }

    /// The stored thresholds of a phase, where the fixture has any.
    fn stored_thresholds(&self, number: usize, phase: usize) -> BTreeMap<Kind, f32> {
        let mut found = BTreeMap::new();
        if self.variant != Variant::Wan {
            let gate_phase = if self.variant.corrects_gate() { phase } else { 1 };
            let read = |phase: usize, name: &str| {
                self.fixture.f32(&format!("s{number}.phase{phase}.threshold_{name}"))[[0]]
            };
            found.insert(Kind::TRUNK, read(gate_phase, "step"));
            found.extend(self.streams.iter().map(|(kind, _)| (*kind, read(phase, kind.as_str()))));
        }
        found
    }

    fn stored_books(&self, number: usize, name: &str) -> ReuseMasks {
        let read = |what: &str| self.fixture.bool(&format!("s{number}.{name}.{what}"));
        let gate = read("step").into_iter().collect();
        let stream =
            |kind: Kind| -> Array2<bool> { read(kind.as_str()).into_dimensionality::<Ix2>().unwrap() };
        ReuseMasks::new(gate, self.streams.iter().map(|(kind, _)| (*kind, stream(*kind))).collect()).unwrap()
    }
}

/// The largest relative difference of two rate tables with the same streams.
fn largest_error(found: &RateTable, expected: &RateTable) -> f32 {
    let error = |found: ArrayD<f32>, expected: ArrayD<f32>| {
        assert_eq!(found.shape(), expected.shape());
        found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / b.abs()).fold(0.0, f32::max)
    };
    let pairs =
        found.streams().iter().zip(expected.streams()).map(|((found_kind, found), (kind, expected))| {
            assert_eq!(found_kind, kind);
            error(found.clone().into_dyn(), expected.clone().into_dyn())
        });
    let trunk = error(found.trunk().to_owned().into_dyn(), expected.trunk().to_owned().into_dyn());
    pairs.fold(trunk, f32::max)
}

fn thresholds_agree(found: &[Threshold], expected: &BTreeMap<Kind, f32>, tolerance: f32) {
    for threshold in found {
        let Some(value) = expected.get(&threshold.kind) else { continue };
        let error = (threshold.value - value).abs() / value;
        assert!(error <= tolerance, "{}: {} instead of {value}", threshold.kind, threshold.value);
    }
}

/// All settings of one fixture: rates to 1e-5, thresholds to 1e-5, books exactly.
fn check(case: &Case) {
    let tables = case.tables(usize::MAX);
    for number in 0..case.count() {
        let settings = case.settings(number);
        let found = two_phase(&tables, &settings).unwrap();
        let second = found.second.as_ref().unwrap();
        for (phase, rates) in [(1, &found.first), (2, second)] {
            let error = largest_error(&rates.rates, &case.stored_rates(number, phase));
            println!("{:?} setting {number} phase {phase}: rates to {error:e}", case.variant);
            assert!(error < 1e-5, "setting {number} phase {phase}: {error}");
            thresholds_agree(&rates.thresholds, &case.stored_thresholds(number, phase), 1e-5);
        }
        assert_eq!(found.masks, case.stored_books(number, "book"), "setting {number}");
        let gate: String = found.masks.gate().iter().map(|skip| if *skip { '1' } else { '0' }).collect();
        assert_eq!(gate, case.fixture.manifest["runs"][number]["step_book"].as_str().unwrap());
        check_from_stored_rates(case, number, &settings, &found);
    }
}

/// From the stored averages on, thresholds agree in every bit, and books with those made from features.
fn check_from_stored_rates(case: &Case, number: usize, settings: &Settings, found: &TwoPhase) {
    let [first, second] = [1, 2].map(|phase| {
        let rates = case.stored_rates(number, phase);
        let thresholds = settings.thresholds(&rates).unwrap();
        thresholds_agree(&thresholds, &case.stored_thresholds(number, phase), 0.0);
        (rates, thresholds)
    });
    assert_eq!(settings.provisional_masks(&first.0, &first.1).unwrap(), found.provisional);
    assert_eq!(settings.final_masks(&second.0, &second.1).unwrap(), found.masks);
}

/// A short window and a second pass over what it missed find the same as a window over all steps.
fn check_second_pass(case: &Case) {
    let whole = case.tables(usize::MAX);
    for number in 0..case.count() {
        let settings = case.settings(number);
        assert_eq!(missing_pairs(&whole, &settings).unwrap(), vec![]);
        let mut tables = case.tables(1);
        let missing = missing_pairs(&tables, &settings).unwrap();
        assert!(!missing.is_empty(), "setting {number} freezes a pair somewhere");
        assert!(missing.iter().all(|pair| pair.to - pair.from > 1));
        let error = two_phase(&tables, &settings).unwrap_err();
        assert!(error.to_string().contains("was not recorded"), "{error}");
        for (table, run) in tables.iter_mut().zip(&case.runs) {
            for pair in &missing {
                let name = table.streams()[pair.stream];
                case.record(table, *run, pair.stream, name, pair.from, pair.to);
            }
        }
        assert_eq!(missing_pairs(&tables, &settings).unwrap(), vec![]);
        assert_eq!(two_phase(&tables, &settings).unwrap(), two_phase(&whole, &settings).unwrap());
    }
}

#[test]
fn dit_rates_thresholds_and_books() {
    check(&dit());
}

#[test]
fn flux_rates_thresholds_and_books() {
    let case = flux();
    check(&case);
    // The authors keep one more book, an alias of the attention's.
    for number in 0..case.count() {
        let book = |name: &str| case.fixture.bool(&format!("s{number}.book.{name}"));
        assert_eq!(book("ip_attn"), book("attn"));
    }
}

#[test]
fn wan_rates_and_books_of_both_phases() {
    let case = wan();
    check(&case);
    for number in 0..case.count() {
        let found = two_phase(&case.tables(usize::MAX), &case.settings(number)).unwrap();
        assert_eq!(found.provisional, case.stored_books(number, "provisional"), "setting {number}");
    }
}

#[test]
fn a_second_pass_over_missing_pairs_completes_a_short_window() {
    for case in [dit(), flux(), wan()] {
        check_second_pass(&case);
    }
}

#[test]
fn variants_are_told_apart() {
    // Each rule, run on the features of another, must not give the known books: the differences are not idle.
    let books = |case: &Case, variant: Variant| -> Vec<ReuseMasks> {
        let tables = case.tables(usize::MAX);
        let each = (0..case.count()).map(|number| {
            let settings = Settings { variant, ..case.settings(number) };
            two_phase(&tables, &settings).unwrap().masks
        });
        each.collect()
    };
    assert_ne!(books(&dit(), Variant::Flux), books(&dit(), Variant::Dit));
    assert_ne!(books(&flux(), Variant::Dit), books(&flux(), Variant::Flux));
    assert_ne!(books(&wan(), Variant::Dit), books(&wan(), Variant::Wan));
}
