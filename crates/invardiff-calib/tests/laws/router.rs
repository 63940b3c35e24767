//! Training routers on the toy model.

use burn::tensor::{Device, Tensor, TensorData};
use invardiff_calib::{CalibError, Example, Pair, RouterSettings, RouterTraining};
use invardiff_plan::methods::routers::Routers;
use invardiff_runtime::GaussianNoise;

use crate::toy::{Toy, runs, solver};

const STEPS: usize = 6;

fn settings() -> RouterSettings {
    RouterSettings { lambda: 1e-4, learning_rate: 0.05, seed: 3, ..RouterSettings::default() }
}

fn start(settings: RouterSettings) -> RouterTraining {
    RouterTraining::start(&Toy::seeded(1).topology, STEPS, settings).unwrap()
}

fn example(seed: u64) -> Example<3, Tensor<3>> {
    let run = runs(1).remove(0);
    let clean = GaussianNoise::seeded(seed).draw(run.noise.dims(), &Device::flex()) * 0.5;
    Example { clean, cond: run.cond }
}

fn train(training: &mut RouterTraining, iterations: usize) {
    for _ in 0..iterations {
        let example = example(training.data_seed());
        training.iterate(&Toy::seeded(1), &solver(STEPS), example).unwrap();
    }
}

/// Central differences of the loss in f32 with a step of 0.02: right to about a part in a hundred of the largest entry.
#[test]
fn gradients_are_those_of_finite_differences() {
    let (toy, sampler) = (Toy::seeded(1), solver(STEPS));
    let training = start(RouterSettings { lambda: 0.003, ..settings() });
    for row in 0..STEPS / 2 {
        let run = runs(1).remove(0);
        let pair = Pair { row, x: run.noise, cond: &run.cond };
        let logits = training.state().routers.logits().row(row).to_vec();
        let (_, gradient) = training.gradient(&toy, &sampler, &pair, &logits).unwrap();
        let loss = |logits: &[f32]| -> f64 {
            let logits = TensorData::new(logits.to_vec(), [logits.len()]);
            let logits = Tensor::from_data(logits, &Device::flex());
            let [distance, weight] = training.loss(&toy, &sampler, &pair, logits).unwrap();
            f64::from(distance.into_scalar::<f32>()) + 0.003 * f64::from(weight.into_scalar::<f32>())
        };
        let largest = gradient.iter().fold(0_f32, |most, value| most.max(value.abs()));
        assert!(largest > 1e-5, "{gradient:?}");
        for index in 0..logits.len() {
            let moved = |by: f32| {
                let mut moved = logits.clone();
                moved[index] += by;
                loss(&moved)
            };
            let expected = (moved(0.02) - moved(-0.02)) / 0.04;
            let error = (f64::from(gradient[index]) - expected).abs();
            assert!(error < 0.01 * f64::from(largest), "{row} {index}: {} {expected}", gradient[index]);
        }
    }
}

#[test]
fn a_resumed_training_ends_like_one_that_was_not_interrupted() {
    let mut whole = start(settings());
    train(&mut whole, 12);
    let mut first = start(settings());
    train(&mut first, 5);
    let mut second = RouterTraining::resume(settings(), first.state().clone()).unwrap();
    train(&mut second, 7);
    assert_eq!(second.state(), whole.state());
    assert_ne!(first.state().routers, whole.state().routers);
    let mut other = start(RouterSettings { seed: 4, ..settings() });
    train(&mut other, 12);
    assert_ne!(other.state().routers, whole.state().routers);
}

#[test]
fn only_the_drawn_router_learns() {
    let mut training = start(settings());
    for _ in 0..10 {
        let before = training.state().clone();
        let example = example(training.data_seed());
        let loss = training.iterate(&Toy::seeded(1), &solver(STEPS), example).unwrap();
        for row in 0..STEPS / 2 {
            let same = before.routers.logits().row(row) == training.state().routers.logits().row(row);
            assert_eq!(same, row != loss.row);
            assert_eq!(before.moments[row] == training.state().moments[row], row != loss.row);
        }
    }
    let rows: std::collections::HashSet<usize> =
        training.state().history.iter().map(|loss| loss.row).collect();
    assert!(rows.len() > 1);
}

/// A price above everything closes all modules down to the clamp; without a price the distance to the full model falls.
#[test]
fn lambda_weighs_computing_against_the_distance() {
    let weights = |routers: &Routers| routers.weights().iter().sum::<f32>();
    let mut dear = start(RouterSettings { lambda: 1e3, learning_rate: 0.5, ..settings() });
    train(&mut dear, 80);
    assert!(dear.state().routers.logits().iter().all(|logit| (*logit + 5.0).abs() < 1e-6));
    let mut free = start(RouterSettings { lambda: 0.0, learning_rate: 0.2, ..settings() });
    let before = weights(&free.state().routers);
    train(&mut free, 80);
    assert!(weights(&free.state().routers) > before);
    let mean = |losses: &[invardiff_calib::RouterLoss]| -> f32 {
        losses.iter().map(|loss| loss.distance).sum::<f32>() / losses.len() as f32
    };
    let history = &free.state().history;
    assert!(mean(&history[60..]) < 0.5 * mean(&history[..20]));
}

/// Cut weights are 0 and 1 in the forward: the loss is that of the plan, and the gradient is still there.
#[test]
fn straight_through_weights_are_cut_and_still_learn() {
    let training = start(RouterSettings { straight_through: Some(0.5), lambda: 0.01, ..settings() });
    let run = runs(1).remove(0);
    let pair = Pair { row: 1, x: run.noise, cond: &run.cond };
    let (toy, sampler) = (Toy::seeded(1), solver(STEPS));
    let logits = [-1.0, 2.0, 0.5, -3.0];
    let (loss, gradient) = training.gradient(&toy, &sampler, &pair, &logits).unwrap();
    assert_eq!(loss.weight, 2.0);
    assert!(gradient.iter().all(|value| *value != 0.0), "{gradient:?}");
    let uncut = start(settings());
    let hard = uncut.gradient(&toy, &sampler, &pair, &[-30.0, 30.0, 30.0, -30.0]).unwrap().0;
    assert!((loss.distance / hard.distance - 1.0).abs() < 1e-4, "{} {}", loss.distance, hard.distance);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let topology = Toy::seeded(1).topology;
    let message =
        |steps, settings| RouterTraining::start(&topology, steps, settings).unwrap_err().to_string();
    assert!(message(5, settings()).contains("even number"));
    assert!(message(6, RouterSettings { lambda: -1.0, ..settings() }).contains("lambda"));
    assert!(message(6, RouterSettings { learning_rate: f64::NAN, ..settings() }).contains("learning rate"));
    let mut training = start(settings());
    let error = training.iterate(&Toy::seeded(1), &solver(8), example(0)).unwrap_err();
    assert!(matches!(error, CalibError::Runtime(_)), "{error}");
    let nan = Example { clean: example(0).clean * f32::NAN, ..example(0) };
    let error = training.iterate(&Toy::seeded(1), &solver(STEPS), nan).unwrap_err();
    assert!(matches!(error, CalibError::Diverged { iteration: 0 }), "{error}");
    assert!(training.state().history.is_empty());
}
