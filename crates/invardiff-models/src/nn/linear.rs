//! Linear layers over tokens.

use burn::nn::Linear;
use burn::tensor::Tensor;

/// Applies a linear layer to every token, as one matrix product over the whole batch. (burn's batched form copies a
/// transposed weight at every call on the CPU.)
///
/// # Shapes
/// - `x`: `[batch, tokens, d_input]`
/// - result: `[batch, tokens, d_output]`
pub(crate) fn project(linear: &Linear, x: Tensor<3>) -> Tensor<3> {
    let [batch, tokens, d_input] = x.dims();
    let y = linear.forward(x.reshape([batch * tokens, d_input]));
    let [_, d_output] = y.dims();
    y.reshape([batch, tokens, d_output])
}
