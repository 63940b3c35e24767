//! One condition to measure.

use burn::tensor::Tensor;

/// One condition to measure: where the trajectory starts and what it is conditioned on.
///
/// A run may be a batch; measurements are then taken over all of its images together.
#[derive(Clone, Debug)]
pub struct Run<const D: usize, C> {
    /// The starting noise, of the shape of the model's sample.
    pub noise: Tensor<D>,
    /// The condition, as the model's [`Denoiser::Cond`](invardiff_runtime::Denoiser::Cond).
    pub cond: C,
}
