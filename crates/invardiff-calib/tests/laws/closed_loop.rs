//! What a plan really does to the final samples.

use std::sync::Arc;

use invardiff_calib::{CalibError, Concurrency, Session};
use invardiff_plan::{CachePlan, Schedule};
use invardiff_runtime::{Full, Replay, sample};

use crate::toy::{Toy, runs, session, solver, values};

const STEPS: usize = 6;

fn schedule(gate: [bool; STEPS]) -> Arc<Schedule> {
    let topology = Toy::seeded(1).topology;
    Arc::new(CachePlan::gate_only(&topology, gate.into()).schedule(&topology).unwrap())
}

#[test]
fn errors_are_those_of_the_final_samples_in_order_of_the_runs() {
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(3));
    let skipping = schedule([false, false, true, false, true, false]);
    let expected = runs.iter().map(|run| {
        let full = values(&sample(&toy, &sampler, &mut Full, run.noise.clone(), &run.cond));
        let mut replay = Replay::new(skipping.clone());
        let replayed = values(&sample(&toy, &sampler, &mut replay, run.noise.clone(), &run.cond));
        let squares = full.iter().zip(&replayed).map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>() / full.len() as f64
    });
    let expected: Vec<f64> = expected.collect();
    assert!(expected[0] > 0.0 && expected[0] != expected[1]);
    for concurrency in [Concurrency::Sequential, Concurrency::Parallel] {
        let closed = session(&toy, &sampler, &runs).with_concurrency(concurrency).closed_loop();
        for (found, expected) in closed.errors(&skipping).iter().zip(&expected) {
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}"); // a mean of 40 squares in f32
        }
        let nothing = schedule([false; STEPS]);
        assert_eq!(closed.errors(&nothing), [0.0; 3]);
        assert_eq!(closed.first(2).errors(&skipping), closed.errors(&skipping)[..2]);
    }
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    let (toy, sampler) = (Toy::seeded(1), solver(STEPS));
    let none = Session::new(&toy, &sampler, &runs(0)).unwrap_err();
    assert!(matches!(none, CalibError::NoRuns), "{none}");
    let noisy = sampler.with_eta(0.5, 1).unwrap();
    let error = Session::new(&toy, &noisy, &runs(1)).unwrap_err();
    assert!(error.to_string().contains("eta = 0.5"), "{error}");
}
