//! A network that predicts, seen through the seam.

use burn::tensor::Tensor;
use invardiff_plan::Topology;

use crate::executor::Executor;

/// A model with one forward, over any executor. `D` is the rank of its sample: 4 for latents `[batch, channels, height,
/// width]`, 3 for packed FLUX latents `[batch, tokens, channels]`.
pub trait Denoiser<const D: usize> {
    /// What the prediction is conditioned on, for the whole batch.
    type Cond;

    /// The sites that one forward visits, in order, with shapes and costs of one picture.
    fn topology(&self) -> Topology;

    /// The prediction at time `t` (as the sampler gives it), of the shape of `x`.
    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<D>, t: f32, cond: &Self::Cond) -> Tensor<D>;
}
