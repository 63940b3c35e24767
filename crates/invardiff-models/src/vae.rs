//! The autoencoder of latent diffusion (Rombach et al. 2022): latents to images and back.
//!
//! Diffusion runs on scaled latents: call [`AutoencoderKl::unscale`] before [`AutoencoderKl::decode`] and
//! [`AutoencoderKl::scale`] after [`AutoencoderKl::encode`]. [`AutoencoderKl::decode_tiled`] decodes large images in tiles.

mod attention;
mod build;
mod config;
mod conv;
mod decoder;
mod encoder;
mod resnet;
mod tiling;

pub use attention::VaeAttention;
pub use config::VaeConfig;
pub use conv::{Conv, Sampling};
pub use decoder::{Decoder, DecoderStage, UpBlock};
pub use encoder::{DownBlock, Encoder};
pub use resnet::{MidBlock, ResnetBlock};
pub use tiling::{Tiling, TilingError};

use burn::module::Module;
use burn::tensor::{DType, Tensor};

/// A KL autoencoder: that of Stable Diffusion, which DiT uses, or that of FLUX.1.
///
/// Made by [`AutoencoderKl::load`], [`AutoencoderKl::from_bytes`] or [`AutoencoderKl::random`].
#[derive(Module, Debug)]
pub struct AutoencoderKl {
    /// From images to latents.
    pub encoder: Encoder,
    /// A 1 x 1 convolution after the encoder, in models that have one.
    pub quant_conv: Option<Conv>,
    /// A 1 x 1 convolution before the decoder, in models that have one.
    pub post_quant_conv: Option<Conv>,
    /// From latents to images.
    pub decoder: Decoder,
    #[module(skip)]
    config: VaeConfig,
}

/// The distribution of an image's latents: independent normal values.
#[derive(Clone, Debug)]
pub struct LatentDistribution {
    /// The means, `[batch, latent_channels, rows, columns]`.
    pub mean: Tensor<4>,
    /// The logarithms of the variances, clamped to `[-30, 20]`.
    pub log_variance: Tensor<4>,
}

impl AutoencoderKl {
    /// Decodes latents without tiling. Peak memory grows with the image: at the published sizes in f32, 0.9 GiB beside the
    /// weights for 512 x 512 and 3.5 GiB for 1024 x 1024.
    ///
    /// # Shapes
    /// - `z`: `[batch, latent_channels, rows, columns]`, not scaled
    /// - result: `[batch, channels, rows * factor, columns * factor]`, in the type of `z`; values mostly in `[-1, 1]`
    pub fn decode(&self, z: Tensor<4>) -> Tensor<4> {
        self.decode_with(z, |_, _| {})
    }

    /// [`AutoencoderKl::decode`] that also calls `see` with the output of each stage of the decoder.
    pub fn decode_with(&self, z: Tensor<4>, see: impl FnMut(DecoderStage, &Tensor<4>)) -> Tensor<4> {
        let dtype = z.dtype();
        let z = z.cast(self.dtype());
        let z = match &self.post_quant_conv {
            Some(conv) => conv.forward(z),
            None => z,
        };
        self.decoder.forward(z, see).cast(dtype)
    }

    /// Encodes images as distributions of latents.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]` with values in `[-1, 1]`; height and width multiples of the factor
    /// - results: `[batch, latent_channels, height / factor, width / factor]`, in the type of `x`
    pub fn encode(&self, x: Tensor<4>) -> LatentDistribution {
        let dtype = x.dtype();
        let moments = self.encoder.forward(x.cast(self.dtype()));
        let moments = match &self.quant_conv {
            Some(conv) => conv.forward(moments),
            None => moments,
        };
        let channels = self.config.latent_channels;
        let half = |start| moments.clone().narrow(1, start, channels).cast(dtype);
        LatentDistribution { mean: half(0), log_variance: half(channels).clamp(-30.0, 20.0) }
    }

    /// From latents of [`AutoencoderKl::encode`] to those of diffusion: `(z - shift) * scaling`.
    pub fn scale(&self, z: Tensor<4>) -> Tensor<4> {
        (z - self.config.shift_factor) * self.config.scaling_factor
    }

    /// From latents of diffusion to those of [`AutoencoderKl::decode`]: `z / scaling + shift`.
    pub fn unscale(&self, z: Tensor<4>) -> Tensor<4> {
        z / self.config.scaling_factor + self.config.shift_factor
    }

    /// The model's sizes.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.decoder.conv_in.weight.dtype()
    }
}
