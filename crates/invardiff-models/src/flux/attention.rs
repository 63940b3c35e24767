//! Attention with normalised, rotated queries and keys.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Tensor};

use super::rope::Rope;
use crate::nn::project;

/// Root-mean-square norm over the channels of a head (Zhang and Sennrich 2019), epsilon 1e-6.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// The learned scale, `[head_dim]`.
    pub scale: Param<Tensor<1>>,
}

impl RmsNorm {
    /// Computes in f32, whatever the type of the weights.
    ///
    /// # Shapes
    /// - `x`: `[batch, heads, tokens, head_dim]`
    /// - result: the same shape, f32
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = x.cast(DType::F32);
        let mean = x.clone().square().mean_dim(3);
        x / (mean + 1e-6).sqrt() * self.scale.val().cast(DType::F32).unsqueeze()
    }
}

/// Projects one stream to queries, keys and values, and normalises queries and keys.
#[derive(Module, Debug)]
pub struct Qkv {
    /// Queries, keys and values in one linear layer.
    pub linear: Linear,
    /// The norm of the queries.
    pub query_norm: RmsNorm,
    /// The norm of the keys.
    pub key_norm: RmsNorm,
    #[module(skip)]
    pub(crate) heads: usize,
}

impl Qkv {
    /// Returns queries and keys in f32, values in the type of `x`.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, dim]`
    /// - results: `[batch, heads, tokens, head_dim]`
    pub fn forward(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, tokens, dim] = x.dims();
        let qkv = project(&self.linear, x)
            .reshape([batch, tokens, 3, self.heads, dim / self.heads])
            .permute([2, 0, 3, 1, 4]);
        let [q, k, v] = std::array::from_fn(|i| qkv.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
        [self.query_norm.forward(q), self.key_norm.forward(k), v]
    }
}

/// Attention over all tokens, after rotating queries and keys by their positions.
///
/// # Shapes
/// - `q`, `k`, `v`: `[batch, heads, tokens, head_dim]`
/// - result: `[batch, tokens, heads * head_dim]`, in the type of `v`
pub(crate) fn mix([q, k, v]: [Tensor<4>; 3], rope: &Rope) -> Tensor<3> {
    let [batch, heads, tokens, head_dim] = v.dims();
    let [q, k] = [q, k].map(|x| rope.apply(x).cast(v.dtype()));
    let mixed = attention(q, k, v, None, None, AttentionModuleOptions::default());
    mixed.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim])
}
