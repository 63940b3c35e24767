//! Self-attention with a bias that depends on the distance of tokens.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;

use crate::nn::project;

/// Multi-head self-attention; its projections have no biases and its scores are not scaled.
#[derive(Module, Debug)]
pub struct T5Attention {
    /// Projects to queries.
    pub q: Linear,
    /// Projects to keys.
    pub k: Linear,
    /// Projects to values.
    pub v: Linear,
    /// The output projection.
    pub o: Linear,
    #[module(skip)]
    pub(super) heads: usize,
}

impl T5Attention {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, d_model]`
    /// - `bias`: `[1, heads, tokens, tokens]`
    pub fn forward(&self, x: Tensor<3>, bias: Tensor<4>) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        let [q, k, v] = [&self.q, &self.k, &self.v].map(|map| {
            let y = project(map, x.clone());
            let [.., width] = y.dims();
            y.reshape([batch, tokens, self.heads, width / self.heads]).swap_dims(1, 2)
        });
        let options = AttentionModuleOptions { scale: Some(1.0), ..AttentionModuleOptions::default() };
        let mixed = attention(q, k, v, None, Some(bias), options);
        let [.., head_dim] = mixed.dims();
        project(&self.o, mixed.swap_dims(1, 2).reshape([batch, tokens, self.heads * head_dim]))
    }
}
