//! Attention over all pixels of an image.

use burn::module::Module;
use burn::nn::{GroupNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;

use crate::nn::project;

/// Self-attention with one head, after a norm, added to its input.
#[derive(Module, Debug)]
pub struct VaeAttention {
    /// The norm before attention.
    pub norm: GroupNorm,
    /// Projects to queries.
    pub q: Linear,
    /// Projects to keys.
    pub k: Linear,
    /// Projects to values.
    pub v: Linear,
    /// The output projection.
    pub out: Linear,
}

impl VaeAttention {
    /// # Shapes
    /// - `x`, result: `[batch, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let tokens = height * width;
        let normed = self.norm.forward(x.clone()).reshape([batch, channels, tokens]).swap_dims(1, 2);
        let [q, k, v] = [&self.q, &self.k, &self.v]
            .map(|map| project(map, normed.clone()).reshape([batch, 1, tokens, channels]));
        let mixed = attention(q, k, v, None, None, AttentionModuleOptions::default());
        let mixed = project(&self.out, mixed.reshape([batch, tokens, channels]));
        x + mixed.swap_dims(1, 2).reshape([batch, channels, height, width])
    }
}
