//! From the change rates that the authors' DiT script measured on a model, over 5 settings, to their books.

#[path = "support/fixture.rs"]
mod fixture;

use std::collections::BTreeMap;

use fixture::Fixture;
use invardiff_plan::Kind;
use invardiff_plan::core::Threshold;
use invardiff_plan::two_phase::{Phases, RateTable, ReuseMasks, Settings, Variant, WarmUp};
use ndarray::{ArrayD, Axis, Ix1, Ix2};

const STREAMS: [Kind; 2] = [Kind::MSA, Kind::MLP];

fn open() -> Fixture {
    Fixture::open("dit_calibration", "calibration.safetensors")
}

/// A table from arrays named `{prefix}step`, `{prefix}msa`, `{prefix}mlp`, each passed through `pick`.
fn table(fixture: &Fixture, prefix: &str, pick: impl Fn(ArrayD<f32>) -> ArrayD<f32>) -> RateTable {
    let read = |name: &str| pick(fixture.f32(&format!("{prefix}{name}")));
    let stream = |kind: Kind| (kind, read(kind.as_str()).into_dimensionality::<Ix2>().unwrap());
    RateTable::new(read("step").into_dimensionality::<Ix1>().unwrap(), STREAMS.map(stream).to_vec()).unwrap()
}

/// The table of each run.
fn runs(fixture: &Fixture, prefix: &str) -> Vec<RateTable> {
    let count = fixture.manifest["num_analysis"].as_u64().unwrap() as usize;
    let one = |run| table(fixture, prefix, move |all| all.index_axis(Axis(0), run).to_owned());
    (0..count).map(one).collect()
}

fn books(fixture: &Fixture, prefix: &str) -> ReuseMasks {
    let read = |name: &str| fixture.bool(&format!("{prefix}{name}"));
    let stream = |kind: Kind| (kind, read(kind.as_str()).into_dimensionality::<Ix2>().unwrap());
    ReuseMasks::new(read("step").into_iter().collect(), STREAMS.map(stream).to_vec()).unwrap()
}

fn settings(run: &serde_json::Value) -> Settings {
    let value = |key: &str| run[key].as_f64().unwrap();
    Settings {
        variant: Variant::Dit,
        gate_quantile: value("step_thres"),
        quantiles: BTreeMap::from([(Kind::MSA, value("msa_thres")), (Kind::MLP, value("mlp_thres"))]),
        warm_up: WarmUp::Rate(value("nonskip_rate")),
        phases: Phases::Two,
    }
}

fn same_bits(fixture: &Fixture, prefix: &str, thresholds: &[Threshold]) {
    for threshold in thresholds {
        let name = if threshold.kind == Kind::TRUNK { "step" } else { threshold.kind.as_str() };
        let known = fixture.f32(&format!("{prefix}threshold_{name}"))[[0]];
        assert_eq!(threshold.value.to_bits(), known.to_bits(), "{prefix}{name}");
    }
    assert_eq!(thresholds.len(), 3);
}

/// The mean over runs agrees with the stored one up to the order of a float32 sum.
fn same_mean(runs: &[RateTable], expected: &RateTable) {
    let mean = RateTable::mean(runs).unwrap();
    let near = |a: &f32, b: &f32| (a - b).abs() <= 2e-7 * b.abs();
    assert!(mean.trunk().iter().zip(expected.trunk()).all(|(a, b)| near(a, b)));
    for ((_, a), (_, b)) in mean.streams().iter().zip(expected.streams()) {
        assert!(a.iter().zip(b).all(|(a, b)| near(a, b)));
    }
}

#[test]
fn thresholds_agree_in_every_bit_and_books_entry_by_entry() {
    let fixture = open();
    let list = fixture.manifest["runs"].as_array().unwrap();
    assert_eq!(list.len(), 5);
    let first = table(&fixture, "phase1.avg_", |all| all);
    same_mean(&runs(&fixture, "phase1.runs_"), &first);
    for (number, run) in list.iter().enumerate() {
        let settings = settings(run);
        let thresholds = settings.thresholds(&first).unwrap();
        same_bits(&fixture, &format!("s{number}.phase1."), &thresholds);
        let provisional = settings.provisional_masks(&first, &thresholds).unwrap();
        assert_eq!(provisional, books(&fixture, &format!("s{number}.provisional.")));

        let second = table(&fixture, &format!("s{number}.phase2.avg_"), |all| all);
        same_mean(&runs(&fixture, &format!("s{number}.phase2.runs_")), &second);
        let thresholds = settings.thresholds(&second).unwrap();
        same_bits(&fixture, &format!("s{number}.phase2."), &thresholds);
        let found = settings.final_masks(&second, &thresholds).unwrap();
        assert_eq!(found, books(&fixture, &format!("s{number}.book.")));
        let gate: String = found.gate().iter().map(|skip| if *skip { '1' } else { '0' }).collect();
        assert_eq!(gate, run["step_book"].as_str().unwrap());
    }
}

#[test]
fn where_nothing_is_provisionally_reused_the_second_phase_repeats_the_first() {
    // Setting 3 has quantile 0 for the gate and for mlp: their provisional books are empty.
    let fixture = open();
    let first = table(&fixture, "phase1.avg_", |all| all);
    let second = table(&fixture, "s3.phase2.avg_", |all| all);
    assert_eq!(first.trunk(), second.trunk());
    assert_eq!(first.stream(Kind::MLP), second.stream(Kind::MLP));
    assert_ne!(first.stream(Kind::MSA), second.stream(Kind::MSA));
}
