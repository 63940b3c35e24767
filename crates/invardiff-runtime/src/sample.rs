//! Sampling: a fold over the steps.

use burn::tensor::Tensor;
use invardiff_plan::Site;

use crate::denoiser::Denoiser;
use crate::executor::{Executor, Policy};
use crate::sampler::Sampler;
use crate::samplers::FirstOrder;

/// Samples one trajectory from `noise`, and returns the final sample.
///
/// Where the policy brings times of its own ([`Policy::grid`]), these are the steps, and the sampler says only what the model
/// predicts and on which path.
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

/// As [`sample`], with a callback `look(policy, step, sample)` after every step.
pub fn sample_with<const D: usize, M, S, P>(
    model: &M,
    sampler: &S,
    policy: &mut P,
    noise: Tensor<D>,
    cond: &M::Cond,
    look: impl FnMut(&P, usize, &Tensor<D>),
) -> Tensor<D>
where
    M: Denoiser<D>,
    S: Sampler<D>,
    P: Policy,
{
    match policy.grid().map(|grid| FirstOrder::new::<D, S>(grid, sampler)) {
        Some(own) => fold(model, &own, policy, noise, cond, look),
        None => fold(model, sampler, policy, noise, cond, look),
    }
}

fn fold<const D: usize, M, S, P>(
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
        let prediction = predict(model, sampler, policy, step, &x, cond);
        let x = sampler.advance(&mut history, step, x, prediction);
        look(policy, step, &x);
        x
    })
}

/// The prediction at one step. The network's output is a site itself: where it is recalled, no network runs.
///
/// A computed prediction that the policy does not replace is used as it is, also where the policy keeps it in another form: converting it there and back would
/// round it, and is not possible at the first step of a flow, whose sample is noise alone.
fn predict<const D: usize, M, S, P>(
    model: &M,
    sampler: &S,
    policy: &mut P,
    step: usize,
    x: &Tensor<D>,
    cond: &M::Cond,
) -> Tensor<D>
where
    M: Denoiser<D>,
    S: Sampler<D>,
    P: Policy,
{
    let form = policy.output_form();
    let shape = x.dims();
    let flat = [shape[0], 1, shape[1..].iter().product()];
    let mut computed = None;
    let [value] = policy.step(step).at(Site::OUTPUT, |exec| {
        let prediction = model.predict(exec, x.clone(), sampler.time(step), cond);
        let value = match form {
            None => prediction,
            Some(form) => {
                computed = Some(prediction.clone());
                sampler.to_form(step, x.clone(), prediction, form)
            }
        };
        [value.reshape(flat)]
    });
    let value = value.reshape(shape);
    let Some(form) = form else { return value };
    match (computed, policy.output_blend(step)) {
        (Some(prediction), None) => prediction,
        (_, Some(of_sample)) if of_sample != 0.0 => {
            sampler.from_form(step, x.clone(), value + x.clone() * of_sample, form)
        }
        (_, _) => sampler.from_form(step, x.clone(), value, form),
    }
}
