//! The block of a T5 encoder.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{DType, Tensor};

use super::attention::T5Attention;
use crate::nn::{gelu_tanh, project, within_range};

/// One block: attention and feed-forward, each normalised and added.
#[derive(Module, Debug)]
pub struct T5Block {
    /// The norm before attention.
    pub norm1: T5Norm,
    /// Self-attention.
    pub attention: T5Attention,
    /// The norm before the feed-forward.
    pub norm2: T5Norm,
    /// Feed-forward.
    pub feed_forward: T5FeedForward,
}

impl T5Block {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, d_model]`
    /// - `bias`: `[1, heads, tokens, tokens]`
    pub fn forward(&self, x: Tensor<3>, bias: Tensor<4>) -> Tensor<3> {
        let x = within_range(x.clone() + self.attention.forward(self.norm1.forward(x), bias));
        within_range(x.clone() + self.feed_forward.forward(self.norm2.forward(x)))
    }
}

/// The gated feed-forward of T5 v1.1: `wo (gelu(wi_0 x) * wi_1 x)`.
#[derive(Module, Debug)]
pub struct T5FeedForward {
    /// Projects to the hidden width; its output passes the GELU.
    pub wi_0: Linear,
    /// Projects to the hidden width; its output is scaled by that of the GELU.
    pub wi_1: Linear,
    /// From the hidden width back to `d_model`.
    pub wo: Linear,
}

impl T5FeedForward {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, d_model]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = gelu_tanh(project(&self.wi_0, x.clone()));
        project(&self.wo, gate * project(&self.wi_1, x))
    }
}

/// Root-mean-square norm over the channels; the mean is not subtracted.
#[derive(Module, Debug)]
pub struct T5Norm {
    /// The learned scale, `[d_model]`.
    pub scale: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) epsilon: f64,
}

impl T5Norm {
    /// Computes the mean square in f32, whatever the type of the weights.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, tokens, d_model]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let mean = x.clone().square().mean_dim(2);
        (x / (mean + self.epsilon).sqrt()).cast(dtype) * self.scale.val().unsqueeze()
    }
}
