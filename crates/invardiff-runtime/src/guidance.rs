//! Classifier-free guidance as a denoiser around a denoiser.

use burn::tensor::Tensor;
use invardiff_plan::Topology;

use crate::{Denoiser, Executor};

/// Both halves in one batch: the sample goes in twice (conditional rows first), and the prediction is
/// `u + scale * (c - u)` on the first `channels` channels, the conditional half's own on the rest.
///
/// The original DiT guides three of its four latent channels; most other code guides all of them.
#[derive(Clone, Debug)]
pub struct BatchedGuidance<M> {
    /// The model.
    pub model: M,
    /// The guidance scale; 1 is the conditional prediction.
    pub scale: f32,
    /// How many leading channels are guided; `None` for all.
    pub channels: Option<usize>,
}

impl<M> BatchedGuidance<M> {
    /// Guides all channels.
    pub fn new(model: M, scale: f32) -> Self {
        Self { model, scale, channels: None }
    }
}

impl<M: Denoiser<4>> Denoiser<4> for BatchedGuidance<M> {
    /// The model's condition for twice the batch: conditional rows, then unconditional ones.
    type Cond = M::Cond;

    fn topology(&self) -> Topology {
        self.model.topology().batched(2)
    }

    /// # Shapes
    /// - `x`, result: `[batch, channels, height, width]`
    /// - `cond`: for `2 * batch` rows
    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<4>, t: f32, cond: &M::Cond) -> Tensor<4> {
        let [batch, channels, ..] = x.dims();
        let both = self.model.predict(exec, Tensor::cat(vec![x.clone(), x], 0), t, cond);
        let guided = self.channels.unwrap_or(channels).min(channels);
        let (c, u) = (both.clone().narrow(0, 0, batch), both.narrow(0, batch, batch));
        if guided == channels {
            return u.clone() + (c - u) * self.scale;
        }
        let (c_guided, u) = (c.clone().narrow(1, 0, guided), u.narrow(1, 0, guided));
        let rest = c.narrow(1, guided, channels - guided);
        Tensor::cat(vec![u.clone() + (c_guided - u) * self.scale, rest], 1)
    }
}
