//! The interface of a model.

use burn::tensor::Tensor;
use invardiff_plan::Topology;

use crate::executor::Executor;

/// A model with one forward that runs under any [`Executor`]. `D` is the rank of its sample: 4 for latents
/// `[batch, channels, height, width]`, 3 for packed FLUX latents `[batch, tokens, channels]`.
pub trait Denoiser<const D: usize> {
    /// The condition (class labels, text embeddings, ..) of a whole batch.
    type Cond;

    /// The sites that a forward visits, in order, with shapes and FLOPs per image.
    fn topology(&self) -> Topology;

    /// The prediction at time `t`, in the unit of the sampler's [`time`](crate::Sampler::time).
    ///
    /// # Shapes
    /// - `x`, result: the sample's
    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<D>, t: f32, cond: &Self::Cond) -> Tensor<D>;
}
