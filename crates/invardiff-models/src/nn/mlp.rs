//! Feed-forward layers.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::linear::project;

/// Feed-forward: two linear layers with a GELU (tanh approximation) between them.
#[derive(Module, Debug)]
pub struct Mlp {
    /// From `dim` to the hidden width.
    pub fc1: Linear,
    /// From the hidden width back to `dim`.
    pub fc2: Linear,
}

impl Mlp {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        project(&self.fc2, gelu_tanh(project(&self.fc1, x)))
    }
}

/// GELU in its tanh approximation, `0.5 x (1 + tanh z)` with `z = sqrt(2/pi) (x + 0.044715 x^3)`. As
/// `0.5 (1 + tanh z) = 1 / (1 + exp(-2 z))`, it is one exponential on the CPU instead of a slow tanh and a power. The
/// exponent is clamped where the result is below 1e-33: an infinite exponential would have a NaN gradient.
pub(crate) fn gelu_tanh(x: Tensor<3>) -> Tensor<3> {
    /// `-2 sqrt(2/pi)`
    const SLOPE: f64 = -1.595_769_121_605_730_7;
    const LARGEST: f64 = 80.0;
    let exponent = (x.clone() * x.clone() * (SLOPE * 0.044_715) + SLOPE) * x.clone();
    x / (exponent.clamp_max(LARGEST).exp() + 1.0)
}
