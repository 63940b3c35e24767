//! The transformer block with adaptive layer norm (adaLN-Zero, DiT paper section 3.2).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use invardiff_runtime::{Executor, Site};

use crate::nn::{Mlp, Norm, chunks, modulate, project};

/// One block: attention and feed-forward, each normalised, modulated, gated and added.
#[derive(Module, Debug)]
pub struct DitBlock {
    /// The norm before attention.
    pub norm1: Norm,
    /// Self-attention.
    pub attn: Attention,
    /// The norm before the feed-forward.
    pub norm2: Norm,
    /// Feed-forward.
    pub mlp: Mlp,
    /// From the conditioning to the block's six modulations.
    pub modulation: Linear,
}

impl DitBlock {
    /// Runs the block. Both module outputs are sites, taken before their gates: gates and modulations are computed at
    /// every step.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    pub fn forward<E: Executor>(&self, exec: &mut E, layer: u32, x: Tensor<3>, c: Tensor<2>) -> Tensor<3> {
        let [shift_msa, scale_msa, gate_msa, shift_mlp, scale_mlp, gate_mlp] =
            chunks(self.modulation.forward(c));
        let [msa] = exec.at(Site::msa(layer), |_| {
            [self.attn.forward(modulate(self.norm1.forward(x.clone()), shift_msa, scale_msa))]
        });
        let x = x + msa * gate_msa;
        let [mlp] = exec.at(Site::mlp(layer), |_| {
            [self.mlp.forward(modulate(self.norm2.forward(x.clone()), shift_mlp, scale_mlp))]
        });
        x + mlp * gate_mlp
    }

    /// The input of this block's attention: `x` after norm and modulation.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    pub fn modulated_input(&self, x: Tensor<3>, c: Tensor<2>) -> Tensor<3> {
        let [shift, scale, ..]: [_; 6] = chunks(self.modulation.forward(c));
        modulate(self.norm1.forward(x), shift, scale)
    }
}

/// Multi-head self-attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values in one linear layer.
    pub qkv: Linear,
    /// The output projection.
    pub proj: Linear,
    #[module(skip)]
    pub(crate) heads: usize,
}

impl Attention {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, dim] = x.dims();
        let qkv = project(&self.qkv, x)
            .reshape([batch, tokens, 3, self.heads, dim / self.heads])
            .permute([2, 0, 3, 1, 4]);
        let [q, k, v] = std::array::from_fn(|i| qkv.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
        let mixed = attention(q, k, v, None, None, AttentionModuleOptions::default());
        project(&self.proj, mixed.swap_dims(1, 2).reshape([batch, tokens, dim]))
    }
}
