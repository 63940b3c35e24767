//! The single-stream block.

use std::cell::LazyCell;
use std::slice;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use invardiff_runtime::{Executor, Kind, Site};

use super::attention::{Qkv, mix};
use super::rope::Rope;
use crate::nn::{Norm, chunks, gelu_tanh, modulate, project, within_range};

/// One block over prompt and image together: attention and feed-forward in parallel, then one projection of both.
///
/// The projection `W [a; m] + b` of attention `a` and feed-forward `m` is stored as two column blocks, `Wa a + Wm m + b`, so
/// that the projected contributions can be reused: this also saves their part of the projection, and a cached contribution
/// is only as wide as a token.
#[derive(Module, Debug)]
pub struct SingleBlock {
    /// From the conditioning to the block's three modulations.
    pub modulation: Linear,
    /// The norm before both.
    pub norm: Norm,
    /// Queries, keys and values.
    pub qkv: Qkv,
    /// The columns of the projection for attention, without bias.
    pub attn_out: Linear,
    /// From `dim` to the hidden width of the feed-forward.
    pub mlp_in: Linear,
    /// The columns of the projection for the feed-forward, without bias.
    pub mlp_out: Linear,
    /// The bias of the projection, `[dim]`; not part of the cached contributions.
    pub bias: Param<Tensor<1>>,
}

impl SingleBlock {
    /// Runs the block. Both contributions are sites, taken before bias and gate. The values before the projection, which the
    /// authors of InvarDiff cache and measure, are shown to the executor through `probe`: attention
    /// `[batch, tokens, dim]`, and the feed-forward after its GELU `[batch, tokens, 4 * dim]`.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, text_tokens + image_tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    /// - `rope`: for all tokens
    pub fn forward<E: Executor>(
        &self,
        exec: &mut E,
        layer: u32,
        x: Tensor<3>,
        c: Tensor<2>,
        rope: &Rope,
    ) -> Tensor<3> {
        let [shift, scale, gate] = chunks(self.modulation.forward(c));
        let normed = LazyCell::new(|| modulate(self.norm.forward(x.clone()), shift, scale));
        let site = Site::new(Kind::SINGLE_ATTN, layer);
        let [attn] = exec.at(site, |exec| {
            let mixed = mix(self.qkv.forward(normed.clone()), rope);
            exec.probe(site, slice::from_ref(&mixed));
            [project(&self.attn_out, mixed)]
        });
        let site = Site::new(Kind::SINGLE_MLP, layer);
        let [mlp] = exec.at(site, |exec| {
            let hidden = gelu_tanh(project(&self.mlp_in, normed.clone()));
            exec.probe(site, slice::from_ref(&hidden));
            [project(&self.mlp_out, hidden)]
        });
        drop(normed);
        within_range(x + (attn + mlp + self.bias.val().unsqueeze()) * gate)
    }

    /// The input of both modules of this block: `x` after norm and modulation.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, text_tokens + image_tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    pub fn modulated_input(&self, x: Tensor<3>, c: Tensor<2>) -> Tensor<3> {
        let [shift, scale, _]: [_; 3] = chunks(self.modulation.forward(c));
        modulate(self.norm.forward(x), shift, scale)
    }
}
