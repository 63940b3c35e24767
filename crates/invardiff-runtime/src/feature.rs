//! The values at a site.

use burn::tensor::Tensor;

/// What stands at a site: `N` tensors of shape `[batch, tokens, dim]`.
pub type Feature<const N: usize> = [Tensor<3>; N];
