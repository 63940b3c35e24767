//! Training on a tiny DiT and a tiny FLUX: gradients, and that the models' weights stay as they are.

use burn::tensor::{Device, Tensor, TensorData};
use invardiff_calib::{AdamW, Example, Pair, RouterSettings, RouterTraining, Run, ScaleShiftTraining};
use invardiff_runtime::{Denoiser, Full, Sampler};

use crate::tiny::{Case, STEPS, dit, flux, routers};

/// Central differences in f32 with a step of 0.05, and a larger price than usual so that the loss is well above its
/// rounding: right to about two parts in a hundred of the largest entry.
#[test]
fn gradients_are_those_of_finite_differences() {
    differences(&dit());
    differences(&flux());
}

fn differences<const D: usize, M: Denoiser<D>, S: Sampler<D>>(case: &Case<D, M, S>) {
    let topology = case.model.topology();
    let settings = RouterSettings { lambda: 1e-3, ..RouterSettings::default() };
    let training = RouterTraining::start(&topology, STEPS, settings).unwrap();
    let pair = Pair { row: 1, x: case.noise.clone(), cond: &case.cond };
    let logits: Vec<f32> = training.state().routers.logits().row(1).to_vec();
    let (_, gradient) = training.gradient(&case.model, &case.sampler, &pair, &logits).unwrap();
    let loss = |logits: Vec<f32>| -> f64 {
        let length = logits.len();
        let logits = Tensor::from_data(TensorData::new(logits, [length]), &Device::flex());
        let [distance, weight] = training.loss(&case.model, &case.sampler, &pair, logits).unwrap();
        f64::from(distance.into_scalar::<f32>()) + 1e-3 * f64::from(weight.into_scalar::<f32>())
    };
    let largest = gradient.iter().fold(0_f32, |most, value| most.max(value.abs()));
    assert!(largest > 1e-4, "{} {gradient:?}", topology.model);
    for index in 0..logits.len() {
        let moved = |by: f32| {
            let mut moved = logits.clone();
            moved[index] += by;
            loss(moved)
        };
        let expected = (moved(0.05) - moved(-0.05)) / 0.1;
        let error = (f64::from(gradient[index]) - expected).abs();
        assert!(
            error < 0.02 * f64::from(largest),
            "{} {index}: {} {expected}",
            topology.model,
            gradient[index]
        );
    }
}

#[test]
fn training_touches_no_weight_of_the_model() {
    untouched(&dit());
    untouched(&flux());
}

fn untouched<const D: usize, M: Denoiser<D>, S: Sampler<D>>(case: &Case<D, M, S>)
where
    M::Cond: Clone,
{
    let topology = case.model.topology();
    let before = case.trajectory(&mut Full);
    let settings = RouterSettings { learning_rate: 0.1, ..RouterSettings::default() };
    let mut router = RouterTraining::start(&topology, STEPS, settings).unwrap();
    for _ in 0..3 {
        let example = Example { clean: case.noise.clone() * 0.3, cond: case.cond.clone() };
        router.iterate(&case.model, &case.sampler, example).unwrap();
    }
    let plan = routers(&topology, 1).plan(0.5).unwrap();
    let schedule = std::sync::Arc::new(plan.schedule(&topology).unwrap());
    let mut vectors = ScaleShiftTraining::start(schedule, topology, AdamW::new(0.01)).unwrap();
    let run = Run { noise: case.noise.clone(), cond: case.cond.clone() };
    let first = vectors.iterate(&case.model, &case.sampler, &run).unwrap();
    let losses: Vec<f32> =
        (0..8).map(|_| vectors.iterate(&case.model, &case.sampler, &run).unwrap().distance).collect();
    assert!(losses[7] < first.distance, "{first:?} {losses:?}");
    assert_eq!(case.trajectory(&mut Full), before);
}
