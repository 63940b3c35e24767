//! One condition to measure, and measuring many.

use burn::tensor::Tensor;
use invardiff_runtime::Sampler;
use rayon::prelude::*;

use crate::CalibError;

/// One condition to measure: where the trajectory starts and what it is conditioned on.
///
/// A run may be a batch; what is measured is then measured over all of its pictures together.
#[derive(Clone, Debug)]
pub struct Run<const D: usize, C> {
    /// The starting noise, of the shape of the model's sample.
    pub noise: Tensor<D>,
    /// The condition, as the model's [`Denoiser::Cond`](invardiff_runtime::Denoiser::Cond).
    pub cond: C,
}

impl<const D: usize, C> Run<D, C> {
    /// Refuses to measure nothing, or along trajectories that draw noise.
    pub(crate) fn check<S: Sampler<D>>(runs: &[Self], sampler: &S) -> Result<(), CalibError> {
        sampler.deterministic()?;
        if runs.is_empty() { Err(CalibError::NoRuns) } else { Ok(()) }
    }
}

/// `work` on every item, in order of the items, on one thread or several.
pub(crate) fn each<T: Send, R: Send>(
    items: Vec<T>,
    parallel: bool,
    work: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    if parallel { items.into_par_iter().map(work).collect() } else { items.into_iter().map(work).collect() }
}
