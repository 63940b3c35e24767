//! The final layer, which is outside the trunk.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::nn::{Norm, chunks, modulate, project};

/// Norm, modulation by the conditioning of the current step, and the projection from tokens to patches.
#[derive(Module, Debug)]
pub struct FinalLayer {
    /// The norm.
    pub norm: Norm,
    /// From the conditioning to shift and scale.
    pub modulation: Linear,
    /// From a token to the values of its patch (row, column, channel).
    pub linear: Linear,
    #[module(skip)]
    pub(crate) patch_size: usize,
}

impl FinalLayer {
    /// # Shapes
    /// - `x`: `[batch, tokens, dim]`, tokens row by row of a square grid
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    /// - result: `[batch, out_channels, height, width]`
    pub fn forward(&self, x: Tensor<3>, c: Tensor<2>) -> Tensor<4> {
        let [shift, scale] = chunks(self.modulation.forward(c));
        self.unpatchify(project(&self.linear, modulate(self.norm.forward(x), shift, scale)))
    }

    fn unpatchify(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, elements] = x.dims();
        let (p, grid) = (self.patch_size, tokens.isqrt());
        let channels = elements / (p * p);
        x.reshape([batch, grid, grid, p, p, channels]).permute([0, 5, 1, 3, 2, 4]).reshape([
            batch,
            channels,
            grid * p,
            grid * p,
        ])
    }
}
