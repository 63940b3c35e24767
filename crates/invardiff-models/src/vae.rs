//! The autoencoder of latent diffusion (Rombach et al. 2022): latents to pictures and back.
//!
//! Diffusion runs on latents that a pipeline has scaled; [`AutoencoderKl::unscale`] comes before [`AutoencoderKl::decode`],
//! [`AutoencoderKl::scale`] after [`AutoencoderKl::encode`]. Large pictures are decoded in tiles,
//! [`AutoencoderKl::decode_tiled`].

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
    /// Pictures to latents.
    pub encoder: Encoder,
    /// A linear map of each latent pixel after the encoder, where the model has one.
    pub quant_conv: Option<Conv>,
    /// A linear map of each latent pixel before the decoder, where the model has one.
    pub post_quant_conv: Option<Conv>,
    /// Latents to pictures.
    pub decoder: Decoder,
    #[module(skip)]
    config: VaeConfig,
}

/// The distribution of a picture's latents, each value normal on its own.
#[derive(Clone, Debug)]
pub struct LatentDistribution {
    /// The means, `[batch, latent_channels, rows, columns]`.
    pub mean: Tensor<4>,
    /// The logarithms of the variances, held between -30 and 20.
    pub log_variance: Tensor<4>,
}

impl AutoencoderKl {
    /// Latents to pictures, at once. Peak memory grows with the picture: at the published sizes in f32, 0.9 GiB beside the
    /// weights for 512 x 512 and 3.5 GiB for 1024 x 1024.
    ///
    /// # Shapes
    /// - `z`: `[batch, latent_channels, rows, columns]`, not scaled
    /// - result: `[batch, channels, rows * factor, columns * factor]`, in the type of `z`; values mostly in `[-1, 1]`
    pub fn decode(&self, z: Tensor<4>) -> Tensor<4> {
        self.decode_with(z, |_, _| {})
    }

    /// [`AutoencoderKl::decode`], showing what each stage of the decoder made.
    pub fn decode_with(&self, z: Tensor<4>, see: impl FnMut(DecoderStage, &Tensor<4>)) -> Tensor<4> {
        let dtype = z.dtype();
        let z = z.cast(self.dtype());
        let z = match &self.post_quant_conv {
            Some(conv) => conv.forward(z),
            None => z,
        };
        self.decoder.forward(z, see).cast(dtype)
    }

    /// Pictures to the distributions of their latents.
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

    /// Latents as diffusion has them, from those of [`AutoencoderKl::encode`]: `(z - shift) * scaling`.
    pub fn scale(&self, z: Tensor<4>) -> Tensor<4> {
        (z - self.config.shift_factor) * self.config.scaling_factor
    }

    /// Latents for [`AutoencoderKl::decode`], from those that diffusion has: `z / scaling + shift`.
    pub fn unscale(&self, z: Tensor<4>) -> Tensor<4> {
        z / self.config.scaling_factor + self.config.shift_factor
    }

    /// The model's sizes.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Element type of the weights.
    pub fn dtype(&self) -> DType {
        self.decoder.conv_in.weight.dtype()
    }
}
