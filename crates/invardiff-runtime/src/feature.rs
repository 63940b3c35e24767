//! The values at a site.

use burn::tensor::Tensor;

/// The values at a site: `N` tensors of shape `[batch, tokens, dim]`, one per stream.
pub type Feature<const N: usize> = [Tensor<3>; N];
