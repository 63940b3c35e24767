//! The output layer, which is outside the trunk.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::nn::{Norm, chunks, modulate, project};

/// Norm, modulation by the conditioning of the current step, and the projection to latent channels.
#[derive(Module, Debug)]
pub struct OutputLayer {
    /// The norm.
    pub norm: Norm,
    /// From the conditioning to shift and scale.
    pub modulation: Linear,
    /// From a token to latent channels.
    pub linear: Linear,
}

impl OutputLayer {
    /// # Shapes
    /// - `x`: `[batch, image_tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    /// - result: `[batch, image_tokens, out_channels]`
    pub fn forward(&self, x: Tensor<3>, c: Tensor<2>) -> Tensor<3> {
        let [shift, scale] = chunks(self.modulation.forward(c));
        project(&self.linear, modulate(self.norm.forward(x), shift, scale))
    }
}
