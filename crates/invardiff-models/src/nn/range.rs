//! Keeping hidden states within the range of f16.

use burn::tensor::{DType, Tensor};

/// Clamps an f16 hidden state to the largest finite values, as the reference does; other types are returned unchanged.
pub(crate) fn within_range(x: Tensor<3>) -> Tensor<3> {
    match x.dtype() {
        DType::F16 => x.clamp(-65504.0, 65504.0),
        _ => x,
    }
}
