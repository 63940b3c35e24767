//! The block of a CLIP text model.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, sigmoid};
use burn::tensor::module::{attention, layer_norm};
use burn::tensor::ops::AttentionModuleOptions;

use super::config::ClipActivation;
use crate::nn::project;

/// One block: attention and feed-forward, each normalised and added.
#[derive(Module, Debug)]
pub struct ClipBlock {
    /// The norm before attention.
    pub norm1: ClipNorm,
    /// Self-attention.
    pub attention: ClipAttention,
    /// The norm before the feed-forward.
    pub norm2: ClipNorm,
    /// Feed-forward.
    pub mlp: ClipMlp,
}

impl ClipBlock {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, hidden_size]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attention.forward(self.norm1.forward(x));
        x.clone() + self.mlp.forward(self.norm2.forward(x))
    }
}

/// Layer norm over the channels with learned scale and shift.
#[derive(Module, Debug)]
pub struct ClipNorm {
    /// The scale, `[hidden_size]`.
    pub scale: Param<Tensor<1>>,
    /// The shift, `[hidden_size]`.
    pub shift: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) epsilon: f64,
}

impl ClipNorm {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, hidden_size]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        layer_norm(x, self.scale.val(), Some(self.shift.val()), self.epsilon)
    }
}

/// Multi-head causal self-attention: a token attends to itself and earlier tokens.
#[derive(Module, Debug)]
pub struct ClipAttention {
    /// Projects to queries.
    pub q: Linear,
    /// Projects to keys.
    pub k: Linear,
    /// Projects to values.
    pub v: Linear,
    /// The output projection.
    pub out: Linear,
    #[module(skip)]
    pub(super) heads: usize,
}

impl ClipAttention {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, hidden_size]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, dim] = x.dims();
        let [q, k, v] = [&self.q, &self.k, &self.v].map(|map| {
            let y = project(map, x.clone());
            y.reshape([batch, tokens, self.heads, dim / self.heads]).swap_dims(1, 2)
        });
        let options = AttentionModuleOptions { is_causal: true, ..AttentionModuleOptions::default() };
        let mixed = attention(q, k, v, None, None, options);
        project(&self.out, mixed.swap_dims(1, 2).reshape([batch, tokens, dim]))
    }
}

/// Feed-forward: two linear layers with an activation between them.
#[derive(Module, Debug)]
pub struct ClipMlp {
    /// From `hidden_size` to `intermediate_size`.
    pub fc1: Linear,
    /// From `intermediate_size` back to `hidden_size`.
    pub fc2: Linear,
    #[module(skip)]
    pub(super) activation: ClipActivation,
}

impl ClipMlp {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, hidden_size]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = project(&self.fc1, x);
        let x = match self.activation {
            ClipActivation::QuickGelu => x.clone() * sigmoid(x * 1.702),
            ClipActivation::Gelu => gelu(x),
        };
        project(&self.fc2, x)
    }
}
