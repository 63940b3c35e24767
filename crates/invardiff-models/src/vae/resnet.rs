//! Residual blocks, and the middle block with attention.

use burn::module::Module;
use burn::nn::GroupNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

use super::attention::VaeAttention;
use super::conv::Conv;

/// Two convolutions, each after a norm and a SiLU, added to the input.
#[derive(Module, Debug)]
pub struct ResnetBlock {
    /// The norm before the first convolution.
    pub norm1: GroupNorm,
    /// The first convolution.
    pub conv1: Conv,
    /// The norm before the second convolution.
    pub norm2: GroupNorm,
    /// The second convolution.
    pub conv2: Conv,
    /// Projects the input to the output's channels, where their numbers differ.
    pub shortcut: Option<Conv>,
}

impl ResnetBlock {
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - result: `[batch, channels_out, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.conv1.forward(silu(self.norm1.forward(x.clone())));
        let y = self.conv2.forward(silu(self.norm2.forward(y)));
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x) + y,
            None => x + y,
        }
    }
}

/// The lowest resolution: a residual block, attention, a residual block.
#[derive(Module, Debug)]
pub struct MidBlock {
    /// The first residual block.
    pub first: ResnetBlock,
    /// Attention over all pixels, in models that have it.
    pub attention: Option<VaeAttention>,
    /// The second residual block.
    pub second: ResnetBlock,
}

impl MidBlock {
    /// # Shapes
    /// - `x`, result: `[batch, channels, height, width]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.first.forward(x);
        let x = match &self.attention {
            Some(attention) => attention.forward(x),
            None => x,
        };
        self.second.forward(x)
    }
}
