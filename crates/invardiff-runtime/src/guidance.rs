//! Classifier-free guidance, as a denoiser that wraps another.

use burn::tensor::Tensor;
use invardiff_plan::Topology;

use crate::denoiser::Denoiser;
use crate::executor::{Executor, Pass};

/// Guidance in one batch: the model runs on the sample twice in one batch (conditional rows first). The prediction is
/// `u + scale * (c - u)` in the first `channels` channels, and that of the conditional rows in the others.
///
/// The original DiT code guides three of the four latent channels; most other code guides all of them.
#[derive(Clone, Debug)]
pub struct BatchedGuidance<M> {
    /// The model.
    pub model: M,
    /// The guidance scale; 1 gives the conditional prediction.
    pub scale: f32,
    /// The number of channels that are guided, from the first on; `None` for all.
    pub channels: Option<usize>,
}

impl<M> BatchedGuidance<M> {
    /// Guidance of all channels.
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

/// Guidance in two passes: per step one forward with the condition and one with a negative condition, combined as
/// `u + scale * (c - u)`. FLUX takes negative prompts this way ("true" classifier-free guidance). Both passes follow one plan,
/// each with features of its own.
#[derive(Clone, Debug)]
pub struct TwoPassGuidance<M> {
    /// The model.
    pub model: M,
    /// The guidance scale; 1 gives the conditional prediction.
    pub scale: f32,
}

/// The conditions of both passes.
#[derive(Clone, Debug)]
pub struct TwoPassCond<C> {
    /// Condition of the guided pass.
    pub conditional: C,
    /// Condition of the negative pass.
    pub unconditional: C,
}

impl<const D: usize, M: Denoiser<D>> Denoiser<D> for TwoPassGuidance<M> {
    type Cond = TwoPassCond<M::Cond>;

    /// Sizes and FLOPs of both passes together. The peak bytes of a schedule are then an upper bound, because the conditional
    /// pass frees what it has read before the other pass keeps anything.
    fn topology(&self) -> Topology {
        self.model.topology().batched(2)
    }

    /// # Shapes
    /// - `x`, result: the model's
    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<D>, t: f32, cond: &Self::Cond) -> Tensor<D> {
        let TwoPassCond { conditional, unconditional } = cond;
        let c = exec.within(Pass::Conditional, |exec| self.model.predict(exec, x.clone(), t, conditional));
        let u = exec.within(Pass::Unconditional, |exec| self.model.predict(exec, x, t, unconditional));
        u.clone() + (c - u) * self.scale
    }
}
