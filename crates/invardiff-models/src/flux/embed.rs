//! Embedding of the pooled prompt.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

/// Two linear layers with a SiLU between them: embeds the pooled prompt.
#[derive(Module, Debug)]
pub struct MlpEmbedder {
    /// The first linear layer.
    pub fc1: Linear,
    /// The second linear layer.
    pub fc2: Linear,
}

impl MlpEmbedder {
    /// # Shapes
    /// - `x`: `[batch, d_input]`
    /// - result: `[batch, dim]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.fc2.forward(silu(self.fc1.forward(x)))
    }
}
