//! What the recorder sees and notes.

use std::collections::{BTreeSet, HashSet};

use burn::tensor::Tensor;
use invardiff_calib::{CalibError, Pairs, Record, Session, Similarity, Streams};
use invardiff_plan::StreamSpec;
use invardiff_plan::two_phase::{DistanceTable, Precision, StepPair, distance};
use invardiff_runtime::{
    Denoiser, Event, Executor, Full, Kind, Observed, Site, SiteSpec, Topology, TwoPassCond, TwoPassGuidance,
    sample,
};

use crate::toy::{EXTRA, JOINT, MIX, Toy, features, options, runs, solver, trajectory};

const STEPS: usize = 7;
/// The trunk, and three streams of two layers.
const STREAMS: usize = 7;

/// A part of all pairs of steps: those whose hash falls below `part` of 8.
fn some_pairs(part: usize) -> BTreeSet<StepPair> {
    let all = (0..STREAMS).flat_map(|stream| {
        (0..STEPS).flat_map(move |to| (0..to).map(move |from| StepPair { stream, from, to }))
    });
    all.filter(|pair| (pair.stream * 41 + pair.from * 13 + pair.to * 29) % 8 < part).collect()
}

fn recorded(pairs: &Pairs, similar: bool) -> (DistanceTable, Vec<Similarity>) {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    let streams = Streams::new(toy.topology());
    let mut table = streams.table(STEPS, 2).unwrap();
    let mut record = Record::new(&streams, pairs, similar);
    sample(&toy, &solver(STEPS), &mut record, run.noise.clone(), &run.cond);
    let similarities = record.finish(&mut table).unwrap();
    (table, similarities)
}

#[test]
fn recording_changes_no_bit() {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    let full = trajectory(&toy, STEPS, &mut Full, run);
    let streams = Streams::new(toy.topology());
    let windows = [(1, 1), (1, 5), (3, 2), (STEPS, STEPS)];
    let windows = windows.map(|(modules, trunk)| Pairs::Window { modules, trunk });
    for pairs in windows.into_iter().chain((0..=8).map(|part| Pairs::Listed(some_pairs(part)))) {
        for similar in [false, true] {
            let mut record = Record::new(&streams, &pairs, similar);
            assert_eq!(trajectory(&toy, STEPS, &mut record, run), full, "{pairs:?}");
        }
    }
}

/// With one condition for both passes the guided prediction is the conditional one, so the trajectory is the plain one's.
#[test]
fn of_two_passes_the_conditional_one_is_recorded() {
    let pairs = Pairs::Window { modules: STEPS, trunk: STEPS };
    let model = TwoPassGuidance { model: Toy::seeded(1), scale: 3.0 };
    let run = &runs(1)[0];
    let cond = TwoPassCond { conditional: run.cond.clone(), unconditional: run.cond.clone() };
    let streams = Streams::new(model.topology());
    let mut table = streams.table(STEPS, 2).unwrap();
    let mut record = Record::new(&streams, &pairs, true);
    sample(&model, &solver(STEPS), &mut record, run.noise.clone(), &cond);
    let similarities = record.finish(&mut table).unwrap();
    let (plain, of_plain) = recorded(&pairs, true);
    assert_eq!(similarities, of_plain);
    for StepPair { stream, from, to } in some_pairs(8) {
        assert_eq!(table.get(stream, from, to).unwrap(), plain.get(stream, from, to).unwrap());
    }
}

#[test]
fn distances_and_similarities_are_those_of_the_features() {
    let (table, similarities) = recorded(&Pairs::Window { modules: STEPS, trunk: STEPS }, true);
    let features = features(&Toy::seeded(1), STEPS, &runs(1)[0]);
    assert_eq!(features.len(), STREAMS);
    // Sums of a few dozen numbers in f32, each exact to 6e-8.
    let near = |found: f32, expected: f64| assert!((f64::from(found) / expected - 1.0).abs() < 1e-5);
    for StepPair { stream, from, to } in some_pairs(8) {
        let (from_value, to_value) = (&features[stream][from], &features[stream][to]);
        let expected = distance(from_value, to_value, Precision::F32).unwrap();
        assert!(expected > 1e-3);
        near(table.get(stream, from, to).unwrap(), expected.into());
    }
    assert_eq!(similarities.len(), STREAMS * (STEPS - 1));
    for Similarity { stream, step, mean_square, cosine_distance } in similarities {
        let wide = |step: usize| features[stream][step].iter().map(|value| f64::from(*value));
        let dot = |a: usize, b: usize| wide(a).zip(wide(b)).map(|(a, b)| a * b).sum::<f64>();
        let squares = wide(step - 1).zip(wide(step)).map(|(a, b)| (b - a).powi(2));
        near(mean_square, squares.sum::<f64>() / features[stream][step].len() as f64);
        let norms = (dot(step - 1, step - 1) * dot(step, step)).sqrt();
        near(cosine_distance, 1.0 - dot(step - 1, step) / norms);
    }
}

#[test]
fn a_list_records_its_pairs_and_no_other() {
    let (all, similarities) = recorded(&Pairs::Window { modules: STEPS, trunk: STEPS }, true);
    for part in 0..=8 {
        let list = some_pairs(part);
        let (table, likewise) = recorded(&Pairs::Listed(list.clone()), true);
        assert_eq!(likewise, similarities);
        for StepPair { stream, from, to } in some_pairs(8) {
            let (found, expected) = (table.get(stream, from, to).ok(), all.get(stream, from, to).ok());
            let listed = list.contains(&StepPair { stream, from, to });
            assert_eq!(found, expected.filter(|_| listed), "{stream} {from} {to}");
        }
    }
    let (_, none) = recorded(&Pairs::Listed(some_pairs(8)), false);
    assert!(none.is_empty());
}

#[test]
fn sites_that_the_topology_does_not_list_are_ignored() {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    let mut seen = HashSet::new();
    let look = |_, site, _: Event<'_>| {
        seen.insert(site);
    };
    trajectory(&toy, STEPS, &mut Observed::new(Full, look), run);
    assert!(seen.contains(&EXTRA) && seen.contains(&Site::OUTPUT));
    let (table, _) = recorded(&Pairs::Window { modules: 1, trunk: 1 }, false);
    assert_eq!(table.streams().len(), STREAMS);
    assert!(table.streams().iter().all(|(kind, _)| ![EXTRA.kind, Site::OUTPUT.kind].contains(kind)));
}

/// Asks its model twice a step, as unbatched guidance would.
struct Twice(Toy);

impl Denoiser<3> for Twice {
    type Cond = Tensor<3>;

    fn topology(&self) -> Topology {
        self.0.topology()
    }

    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, text: &Tensor<3>) -> Tensor<3> {
        let again = self.0.predict(exec, x.clone(), t, &text.clone().neg());
        self.0.predict(exec, x, t, text) * 2.0 - again
    }
}

fn refusal<M: Denoiser<3, Cond = Tensor<3>> + Sync>(model: &M) -> String {
    let (sampler, runs) = (solver(STEPS), runs(1));
    let error = Session::new(model, &sampler, &runs).unwrap().record(&options(STEPS)).unwrap_err();
    assert!(matches!(error, CalibError::Sites { .. }), "{error}");
    error.to_string()
}

#[test]
fn a_topology_that_the_forward_does_not_follow_is_refused() {
    let changed = |change: &dyn Fn(&mut Vec<SiteSpec>)| {
        let mut toy = Toy::seeded(1);
        change(&mut toy.topology.sites);
        refusal(&toy)
    };
    let more = changed(&|sites| sites.push(SiteSpec::single(Site::new(MIX, 2), 5, 4, 1.0)));
    assert!(more.contains("toy") && more.contains("mix[2] was passed 0 times in 7 steps"), "{more}");
    let narrow = changed(&|sites| sites[3].streams.truncate(1));
    assert!(narrow.contains("joint[1] has 1 tensors in the topology and 2 in the forward"), "{narrow}");
    let wide = changed(&|sites| {
        let extra = StreamSpec { name: Kind::new("more"), ..sites[1].streams[0].clone() };
        assert_eq!(sites[1].site, Site::new(JOINT, 0));
        sites[1].streams.push(extra);
    });
    assert!(wide.contains("joint[0] has 3 tensors in the topology and 2 in the forward"), "{wide}");
    let twice = refusal(&Twice(Toy::seeded(1)));
    assert!(twice.contains("trunk[0] was passed 14 times in 7 steps"), "{twice}");
}
