//! The decoder: latents to images.

use burn::module::Module;
use burn::nn::GroupNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

use super::conv::Conv;
use super::resnet::{MidBlock, ResnetBlock};

/// The decoder: upsamples from resolution to resolution.
#[derive(Module, Debug)]
pub struct Decoder {
    /// From latent channels to those of the lowest resolution.
    pub conv_in: Conv,
    /// The blocks at the lowest resolution.
    pub mid: MidBlock,
    /// The resolutions, the lowest first.
    pub up: Vec<UpBlock>,
    /// The norm before the output.
    pub norm_out: GroupNorm,
    /// To the channels of an image.
    pub conv_out: Conv,
}

/// One resolution of the decoder.
#[derive(Module, Debug)]
pub struct UpBlock {
    /// The residual blocks.
    pub resnets: Vec<ResnetBlock>,
    /// Upsamples to the next resolution; `None` after the last.
    pub upsample: Option<Conv>,
}

/// A stage of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoderStage {
    /// After the first convolution.
    ConvIn,
    /// After the blocks at the lowest resolution.
    Mid,
    /// After the resolution of this index, the lowest being 0.
    Up(usize),
}

impl Decoder {
    /// Decodes latents and calls `see` with the output of each stage.
    ///
    /// # Shapes
    /// - `z`: `[batch, latent_channels, rows, columns]`
    /// - result: `[batch, out_channels, rows * factor, columns * factor]`
    pub fn forward(&self, z: Tensor<4>, mut see: impl FnMut(DecoderStage, &Tensor<4>)) -> Tensor<4> {
        let x = self.conv_in.forward(z);
        see(DecoderStage::ConvIn, &x);
        let mut x = self.mid.forward(x);
        see(DecoderStage::Mid, &x);
        for (index, block) in self.up.iter().enumerate() {
            x = block.forward(x);
            see(DecoderStage::Up(index), &x);
        }
        self.conv_out.forward(silu(self.norm_out.forward(x)))
    }
}

impl UpBlock {
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - result: `[batch, channels_out, height * 2, width * 2]`; not doubled after the last resolution
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.resnets.iter().fold(x, |x, block| block.forward(x));
        match &self.upsample {
            Some(conv) => conv.forward(x),
            None => x,
        }
    }
}
