//! Guidance on both halves of a batch, as the original DiT samples.

use burn::tensor::{Int, Tensor};
use invardiff_models::Dit;
use invardiff_runtime::{Denoiser, Executor, Topology};

/// How many channels the original DiT code guides.
pub(crate) const GUIDED_CHANNELS: usize = 3;

/// The prediction with guidance, for conditional and unconditional rows: `u + scale * (c - u)` in the first `channels`
/// channels of both halves, each half's own in the rest.
///
/// # Shapes
/// - `raw`, result: `[2 * batch, channels, height, width]`, conditional rows first
pub(crate) fn guide(raw: Tensor<4>, scale: f32, channels: usize) -> Tensor<4> {
    let [rows, all, ..] = raw.dims();
    let (batch, guided) = (rows / 2, channels.min(all));
    let (c, u) = (raw.clone().narrow(0, 0, batch), raw.clone().narrow(0, batch, batch));
    let (c, u) = (c.narrow(1, 0, guided), u.narrow(1, 0, guided));
    let mixed = u.clone() + (c - u) * scale;
    let mixed = Tensor::cat(vec![mixed.clone(), mixed], 0);
    if guided == all { mixed } else { Tensor::cat(vec![mixed, raw.narrow(1, guided, all - guided)], 1) }
}

/// A DiT that samples conditional and unconditional rows side by side: both are predicted from the conditional half of the
/// sample. Unguided channels of the other half evolve separately; nothing reads them.
///
/// The pipelines carry the conditional half alone ([`invardiff_runtime::BatchedGuidance`]); this type is for comparing both halves.
#[derive(Debug)]
pub(crate) struct BothHalves {
    /// The model.
    pub(crate) dit: Dit,
    /// The guidance scale.
    pub(crate) scale: f32,
    /// How many leading channels are guided.
    pub(crate) channels: usize,
}

impl Denoiser<4> for BothHalves {
    type Cond = Tensor<1, Int>;

    fn topology(&self) -> Topology {
        self.dit.topology()
    }

    /// # Shapes
    /// - `x`, result: `[2 * batch, channels, height, width]`
    /// - `cond`: `[2 * batch]`
    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<4>, t: f32, cond: &Self::Cond) -> Tensor<4> {
        let [rows, ..] = x.dims();
        let half = x.narrow(0, 0, rows / 2);
        let both = self.dit.predict(exec, Tensor::cat(vec![half.clone(), half], 0), t, cond);
        guide(both, self.scale, self.channels)
    }
}
