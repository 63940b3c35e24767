//! Modulation by a conditioning vector (adaLN, DiT paper section 3.2).

use burn::tensor::Tensor;

/// `x * (1 + scale) + shift`.
///
/// # Shapes
/// - `x`, result: `[batch, tokens, dim]`
/// - `shift`, `scale`: `[batch, 1, dim]`
pub(crate) fn modulate(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>) -> Tensor<3> {
    x * (scale + 1.0) + shift
}

/// Splits `[batch, N * dim]` into `N` tensors `[batch, 1, dim]`.
pub(crate) fn chunks<const N: usize>(x: Tensor<2>) -> [Tensor<3>; N] {
    let [batch, width] = x.dims();
    let x = x.reshape([batch, N, width / N]);
    std::array::from_fn(|i| x.clone().narrow(1, i, 1))
}
