//! Sampling is a fold over the steps.

use burn::tensor::Tensor;

use crate::{Denoiser, Policy, Sampler};

/// The final sample of one trajectory.
///
/// # Shapes
/// - `noise`, result: the model's sample
pub fn sample<const D: usize, M, S, P>(
    model: &M,
    sampler: &S,
    policy: &mut P,
    noise: Tensor<D>,
    cond: &M::Cond,
) -> Tensor<D>
where
    M: Denoiser<D>,
    S: Sampler<D>,
    P: Policy,
{
    sample_with(model, sampler, policy, noise, cond, |_, _, _| {})
}

/// [`sample`], showing `(policy, step, sample after the step)` to `look` after every step.
pub fn sample_with<const D: usize, M, S, P>(
    model: &M,
    sampler: &S,
    policy: &mut P,
    noise: Tensor<D>,
    cond: &M::Cond,
    mut look: impl FnMut(&P, usize, &Tensor<D>),
) -> Tensor<D>
where
    M: Denoiser<D>,
    S: Sampler<D>,
    P: Policy,
{
    let mut history = sampler.start();
    (0..sampler.steps()).fold(noise, |x, step| {
        let prediction = model.predict(&mut policy.step(step), x.clone(), sampler.time(step), cond);
        let x = sampler.advance(&mut history, step, x, prediction);
        look(policy, step, &x);
        x
    })
}
