//! Classifier-free guidance as a denoiser around a denoiser.

use burn::tensor::Tensor;
use invardiff_plan::Topology;

use crate::denoiser::Denoiser;
use crate::executor::{Executor, Pass};

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

/// Two forwards a step, one with the condition and one with a negative one (or none): `u + scale * (c - u)`. This is how
/// FLUX takes a negative prompt ("true" classifier-free guidance). Both passes follow one plan with features of their own.
#[derive(Clone, Debug)]
pub struct TwoPassGuidance<M> {
    /// The model.
    pub model: M,
    /// The guidance scale; 1 is the conditional prediction.
    pub scale: f32,
}

/// The conditions of both passes.
#[derive(Clone, Debug)]
pub struct TwoPassCond<C> {
    /// What is wanted.
    pub conditional: C,
    /// What is not.
    pub unconditional: C,
}

impl<const D: usize, M: Denoiser<D>> Denoiser<D> for TwoPassGuidance<M> {
    type Cond = TwoPassCond<M::Cond>;

    /// Sizes and costs of both passes together. A schedule's peak is then an upper bound: the conditional pass lets go of
    /// what it has read before the other one keeps anything.
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
