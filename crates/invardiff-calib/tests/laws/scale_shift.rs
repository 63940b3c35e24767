//! Training scale-shift vectors on the toy model.

use std::sync::Arc;

use burn::tensor::Device;
use invardiff_calib::{AdamW, CalibError, ScaleShiftTraining};
use invardiff_plan::{CachePlan, Schedule, Site};
use invardiff_runtime::{Replay, ScaleShift};
use ndarray::Array2;

use crate::toy::{Toy, runs, session, solver, trajectory};

const STEPS: usize = 6;

fn schedule() -> Arc<Schedule> {
    let topology = Toy::seeded(1).topology;
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let reuse =
        Array2::from_shape_fn((STEPS, sites.len()), |(step, column)| step > 0 && (step + column) % 3 > 0);
    let plan = CachePlan::new(sites, vec![false; STEPS], reuse).unwrap();
    Arc::new(plan.schedule(&topology).unwrap())
}

fn start() -> ScaleShiftTraining {
    ScaleShiftTraining::start(schedule(), Toy::seeded(1).topology, AdamW::new(0.01)).unwrap()
}

fn train(training: &mut ScaleShiftTraining, iterations: std::ops::Range<usize>) {
    let runs = runs(4);
    for iteration in iterations {
        training.iterate(&Toy::seeded(1), &solver(STEPS), &runs[iteration % 4]).unwrap();
    }
}

#[test]
fn before_the_first_iteration_nothing_is_adjusted() {
    let (toy, run) = (Toy::seeded(1), &runs(1)[0]);
    let adjustment = start().adjustment(&Device::flex()).unwrap();
    let mut adjusted = Replay::with_adjustment(schedule(), Arc::new(adjustment.clone()));
    let plain = trajectory(&toy, STEPS, &mut Replay::new(schedule()), run);
    assert_eq!(trajectory(&toy, STEPS, &mut adjusted, run), plain);
    assert_eq!(adjustment.len(), ScaleShift::places(&schedule(), &toy.topology).len());
}

#[test]
fn training_brings_the_student_nearer_to_the_teacher() {
    let mut training = start();
    train(&mut training, 0..120);
    let history = &training.state().history;
    let mean = |part: &[invardiff_calib::ScaleShiftLoss]| -> f32 {
        part.iter().map(|loss| loss.distance).sum::<f32>() / part.len() as f32
    };
    assert!(mean(&history[116..]) < 0.5 * mean(&history[..4]), "{history:?}");
    // Along its own trajectory too, and on the images that it was trained on.
    let (toy, sampler, runs) = (Toy::seeded(1), solver(STEPS), runs(4));
    let closed = session(&toy, &sampler, &runs).closed_loop();
    let plain = closed.errors(&schedule());
    let adjustment = Arc::new(training.adjustment(&Device::flex()).unwrap());
    let adjusted = closed.adjusted_errors(&schedule(), &adjustment);
    assert!(adjusted.iter().sum::<f64>() < 0.7 * plain.iter().sum::<f64>(), "{adjusted:?} {plain:?}");
}

/// The first update's moment is a tenth of the gradient. Only the last step reuses, so its loss depends on its vectors
/// alone. Central differences in f32 with a step of 0.01: right to about a part in a hundred of the largest entry.
#[test]
fn gradients_are_those_of_finite_differences() {
    let topology = Toy::seeded(1).topology;
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let reuse = Array2::from_shape_fn((3, sites.len()), |(step, column)| step == 2 && column < 3);
    let plan = CachePlan::new(sites, vec![false; 3], reuse).unwrap();
    let schedule = Arc::new(plan.schedule(&topology).unwrap());
    let start = ScaleShiftTraining::start(schedule.clone(), topology.clone(), AdamW::new(0.01)).unwrap();
    let after = |change: &dyn Fn(&mut [f32])| {
        let mut state = start.state().clone();
        change(&mut state.vectors[2]);
        let mut training =
            ScaleShiftTraining::resume(schedule.clone(), topology.clone(), AdamW::new(0.01), state).unwrap();
        let loss = training.iterate(&Toy::seeded(1), &solver(3), &runs(1)[0]).unwrap();
        (f64::from(loss.distance), training.state().moments[2].first.clone())
    };
    let gradient: Vec<f64> = after(&|_| ()).1.iter().map(|moment| f64::from(*moment) / 0.1).collect();
    assert_eq!(gradient.len(), 4 * 2 * 4); // four tensors, of four channels each
    let largest = gradient.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    for index in 0..gradient.len() {
        let moved = |by: f32| after(&|vectors| vectors[index] += by).0;
        let expected = (moved(0.01) - moved(-0.01)) / 0.02;
        assert!(
            (gradient[index] - expected).abs() < 0.01 * largest,
            "{index}: {} {expected}",
            gradient[index]
        );
    }
}

#[test]
fn a_resumed_training_ends_like_one_that_was_not_interrupted() {
    let mut whole = start();
    train(&mut whole, 0..9);
    let mut first = start();
    train(&mut first, 0..4);
    let topology = Toy::seeded(1).topology;
    let mut second =
        ScaleShiftTraining::resume(schedule(), topology, AdamW::new(0.01), first.state().clone()).unwrap();
    train(&mut second, 4..9);
    assert_eq!(second.state(), whole.state());
}

#[test]
fn plans_without_anything_to_adjust_are_refused() {
    let topology = Toy::seeded(1).topology;
    let message = |plan: CachePlan| {
        let schedule = Arc::new(plan.schedule(&topology).unwrap());
        ScaleShiftTraining::start(schedule, topology.clone(), AdamW::new(0.01)).unwrap_err().to_string()
    };
    assert!(message(CachePlan::empty(&topology, STEPS)).contains("reusing nothing"));
    let gate = vec![false, false, true, false, false, false];
    assert!(message(CachePlan::gate_only(&topology, gate)).contains("skipping step 2"));
    let mut training = start();
    let error = training.iterate(&Toy::seeded(1), &solver(8), &runs(1)[0]).unwrap_err();
    assert!(matches!(error, CalibError::Runtime(_)), "{error}");
    let mut state = training.state().clone();
    state.vectors[1].pop();
    let error = ScaleShiftTraining::resume(schedule(), topology, AdamW::new(0.01), state).unwrap_err();
    assert!(error.to_string().contains("scale-shift state"), "{error}");
}
