//! Plans as data, at the size of DiT-XL/2 and 50 steps: thresholds, both phases, lowering, files, the least-error front.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::Criterion;
use invardiff_plan::least_error::{PlannerOptions, SkipErrors, front};
use invardiff_plan::two_phase::{DistanceTable, Phases, Settings, Variant, WarmUp, quantile, two_phase};
use invardiff_plan::{CachePlan, GateSite, Kind, OutputForm, TimeAxis, Topology};

const STEPS: usize = 50;
/// The authors calibrate DiT on 16 runs.
const RUNS: usize = 16;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    let topology = Topology::named("dit-xl-2-256").expect("a known name");
    let layers = topology.layers(Kind::MSA);
    let rates: Vec<f32> = (0..(STEPS - 2) * layers).map(|index| 1.0 + 0.5 * wobble(index)).collect();
    group.bench_function("quantile", |bencher| bencher.iter(|| quantile(black_box(&rates), 0.22)));

    let tables: Vec<DistanceTable> = (0..RUNS).map(|run| table(&topology, run)).collect();
    group.bench_function("two_phase", |bencher| bencher.iter(|| two_phase(black_box(&tables), &settings())));

    let plan = two_phase(&tables, &settings()).expect("complete tables").plan(&topology).expect("a plan");
    group.bench_function("schedule", |bencher| bencher.iter(|| black_box(&plan).schedule(&topology)));
    group.bench_function("json", |bencher| {
        bencher.iter(|| CachePlan::from_json(&black_box(&plan).to_json()?, "the plan"));
    });
    group.bench_function("bincode", |bencher| {
        bencher.iter(|| CachePlan::from_bytes(&black_box(&plan).to_bytes()?, "the plan"));
    });

    let atlas = atlas(&topology);
    let options = PlannerOptions::default();
    group.bench_function("front", |bencher| bencher.iter(|| front(black_box(&atlas), &options)));
    group.finish();
}

/// The published fast plan's quantiles.
fn settings() -> Settings {
    Settings {
        variant: Variant::Dit,
        gate_quantile: 0.63,
        quantiles: BTreeMap::from([(Kind::MSA, 0.22), (Kind::MLP, 0.22)]),
        warm_up: WarmUp::Rate(0.0),
        phases: Phases::Two,
    }
}

/// Distances that grow with the gap, at every pair of steps: no measurement, but of a measurement's size.
fn table(topology: &Topology, run: usize) -> DistanceTable {
    let mut table = DistanceTable::for_topology(topology, STEPS, STEPS - 1).expect("enough steps");
    for stream in 0..table.streams().len() {
        for to in 1..STEPS {
            for from in 0..to {
                let distance = ((to - from) as f32).sqrt() * (1.0 + 0.5 * wobble(run + 7 * stream + 31 * to));
                table.record(stream, from, to, distance).expect("a pair within the window");
            }
        }
    }
    table
}

/// Errors that grow with the distance of the anchors.
fn atlas(topology: &Topology) -> SkipErrors {
    let times = (0..STEPS).map(|step| step as f64).collect();
    let site = GateSite::Output(OutputForm::X0);
    let mut atlas =
        SkipErrors::new(topology.clone(), site, TimeAxis::Step, times, 8).expect("steps within the limits");
    let error = |(step, b, a): (usize, usize, Option<usize>)| {
        let gap = (step - b) as f64 + a.map_or(0.0, |a| 0.1 * (b - a) as f64);
        gap * gap * f64::from(1.0 + 0.5 * wobble(step))
    };
    let errors: Vec<f64> = atlas.entries().into_iter().map(error).collect();
    atlas.add_run(&errors).expect("one error an entry");
    atlas
}

/// A number from -1 to 1 that looks irregular.
fn wobble(index: usize) -> f32 {
    (index as f32 * 12.9898).sin()
}
