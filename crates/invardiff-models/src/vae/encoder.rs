//! The encoder: images to latents.

use burn::module::Module;
use burn::nn::GroupNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

use super::conv::Conv;
use super::resnet::{MidBlock, ResnetBlock};

/// The encoder: downsamples from resolution to resolution.
#[derive(Module, Debug)]
pub struct Encoder {
    /// From image channels to those of the first resolution.
    pub conv_in: Conv,
    /// The resolutions, the image's first.
    pub down: Vec<DownBlock>,
    /// The blocks at the lowest resolution.
    pub mid: MidBlock,
    /// The norm before the output.
    pub norm_out: GroupNorm,
    /// To means and log variances.
    pub conv_out: Conv,
}

/// One resolution of the encoder.
#[derive(Module, Debug)]
pub struct DownBlock {
    /// The residual blocks.
    pub resnets: Vec<ResnetBlock>,
    /// Downsamples to the next resolution; `None` after the last.
    pub downsample: Option<Conv>,
}

impl Encoder {
    /// # Shapes
    /// - `x`: `[batch, in_channels, height, width]`
    /// - result: `[batch, 2 * latent_channels, height / factor, width / factor]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.down.iter().fold(self.conv_in.forward(x), |x, block| block.forward(x));
        let x = self.mid.forward(x);
        self.conv_out.forward(silu(self.norm_out.forward(x)))
    }
}

impl DownBlock {
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - result: `[batch, channels_out, height / 2, width / 2]`; not halved after the last resolution
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.resnets.iter().fold(x, |x, block| block.forward(x));
        match &self.downsample {
            Some(conv) => conv.forward(x),
            None => x,
        }
    }
}
