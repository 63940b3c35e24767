//! Embeddings of vectors.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

/// Two linear maps with a SiLU between: embeds the pooled prompt.
#[derive(Module, Debug)]
pub struct MlpEmbedder {
    /// The first linear map.
    pub fc1: Linear,
    /// The second linear map.
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
