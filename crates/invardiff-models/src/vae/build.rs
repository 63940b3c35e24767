//! Builds a KL autoencoder from named weights.

use burn::module::Param;
use burn::nn::GroupNorm;
use burn::tensor::{DType, Device};

use super::attention::VaeAttention;
use super::conv::{Conv, Sampling};
use super::decoder::{Decoder, UpBlock};
use super::encoder::{DownBlock, Encoder};
use super::resnet::{MidBlock, ResnetBlock};
use super::{AutoencoderKl, VaeConfig};
use crate::nn::{Build, Init, Sizes, Weights};
use crate::{ConfigError, random};

/// Epsilon of the norms.
const EPSILON: f64 = 1e-6;

impl Sizes for VaeConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        Self::validate(self)
    }

    fn name(&self) -> String {
        Self::name(self)
    }
}

impl Build for AutoencoderKl {
    type Config = VaeConfig;

    /// Names are those of the diffusers library.
    fn build<W: Weights>(config: &VaeConfig, weights: &mut W, _: &Device) -> Result<Self, W::Error> {
        let mut parts = Parts { config, weights };
        let latent = config.latent_channels;
        Ok(Self {
            encoder: parts.encoder()?,
            quant_conv: config
                .use_quant_conv
                .then(|| parts.conv("quant_conv", [2 * latent, 2 * latent], 1, Sampling::Same))
                .transpose()?,
            post_quant_conv: config
                .use_post_quant_conv
                .then(|| parts.conv("post_quant_conv", [latent, latent], 1, Sampling::Same))
                .transpose()?,
            decoder: parts.decoder()?,
            config: config.clone(),
        })
    }

    fn init(_: &VaeConfig, key: &str, shape: &[usize]) -> Init {
        Init::usual(shape, key.contains("norm") && key.ends_with(".weight"))
    }
}

/// The weights and sizes from which one model is built.
struct Parts<'a, W> {
    config: &'a VaeConfig,
    weights: &'a mut W,
}

impl<W: Weights> Parts<'_, W> {
    fn encoder(&mut self) -> Result<Encoder, W::Error> {
        let config = self.config;
        let widths = &config.block_out_channels;
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let conv_in = self.conv("encoder.conv_in", [config.in_channels, first], 3, Sampling::Same)?;
        let mut down = Vec::new();
        for (index, width) in widths.iter().copied().enumerate() {
            let (name, before) = (format!("encoder.down_blocks.{index}"), widths[index.saturating_sub(1)]);
            let resnets = self.resnets(&name, config.layers_per_block, [before, width])?;
            let downsample = (index + 1 < widths.len()).then(|| {
                self.conv(&format!("{name}.downsamplers.0.conv"), [width, width], 3, Sampling::Down)
            });
            down.push(DownBlock { resnets, downsample: downsample.transpose()? });
        }
        Ok(Encoder {
            conv_in,
            down,
            mid: self.mid("encoder.mid_block", last)?,
            norm_out: self.norm("encoder.conv_norm_out", last)?,
            conv_out: self.conv("encoder.conv_out", [last, 2 * config.latent_channels], 3, Sampling::Same)?,
        })
    }

    fn decoder(&mut self) -> Result<Decoder, W::Error> {
        let config = self.config;
        let widths: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (first, last) = (widths[0], widths[widths.len() - 1]);
        let conv_in = self.conv("decoder.conv_in", [config.latent_channels, first], 3, Sampling::Same)?;
        let mid = self.mid("decoder.mid_block", first)?;
        let mut up = Vec::new();
        for (index, width) in widths.iter().copied().enumerate() {
            let (name, before) = (format!("decoder.up_blocks.{index}"), widths[index.saturating_sub(1)]);
            let resnets = self.resnets(&name, config.layers_per_block + 1, [before, width])?;
            let upsample = (index + 1 < widths.len())
                .then(|| self.conv(&format!("{name}.upsamplers.0.conv"), [width, width], 3, Sampling::Up));
            up.push(UpBlock { resnets, upsample: upsample.transpose()? });
        }
        Ok(Decoder {
            conv_in,
            mid,
            up,
            norm_out: self.norm("decoder.conv_norm_out", last)?,
            conv_out: self.conv("decoder.conv_out", [last, config.out_channels], 3, Sampling::Same)?,
        })
    }

    fn resnets(
        &mut self,
        name: &str,
        count: usize,
        [before, width]: [usize; 2],
    ) -> Result<Vec<ResnetBlock>, W::Error> {
        (0..count)
            .map(|index| {
                let input = if index == 0 { before } else { width };
                self.resnet(&format!("{name}.resnets.{index}"), [input, width])
            })
            .collect()
    }

    fn resnet(&mut self, name: &str, [input, output]: [usize; 2]) -> Result<ResnetBlock, W::Error> {
        let part = |part: &str| format!("{name}.{part}");
        Ok(ResnetBlock {
            norm1: self.norm(&part("norm1"), input)?,
            conv1: self.conv(&part("conv1"), [input, output], 3, Sampling::Same)?,
            norm2: self.norm(&part("norm2"), output)?,
            conv2: self.conv(&part("conv2"), [output, output], 3, Sampling::Same)?,
            shortcut: (input != output)
                .then(|| self.conv(&part("conv_shortcut"), [input, output], 1, Sampling::Same))
                .transpose()?,
        })
    }

    fn mid(&mut self, name: &str, width: usize) -> Result<MidBlock, W::Error> {
        let first = self.resnet(&format!("{name}.resnets.0"), [width, width])?;
        let attention = self
            .config
            .mid_block_add_attention
            .then(|| self.attention(&format!("{name}.attentions.0"), width))
            .transpose()?;
        Ok(MidBlock { first, attention, second: self.resnet(&format!("{name}.resnets.1"), [width, width])? })
    }

    fn attention(&mut self, name: &str, width: usize) -> Result<VaeAttention, W::Error> {
        let norm = self.norm(&format!("{name}.group_norm"), width)?;
        let mut map = |part: &str| self.weights.linear(&format!("{name}.{part}"), width, width);
        Ok(VaeAttention { norm, q: map("to_q")?, k: map("to_k")?, v: map("to_v")?, out: map("to_out.0")? })
    }

    fn norm(&mut self, name: &str, channels: usize) -> Result<GroupNorm, W::Error> {
        let mut part = |part: &str| self.weights.tensor(&format!("{name}.{part}"), [channels]);
        let (gamma, beta) = (Param::from_tensor(part("weight")?), Param::from_tensor(part("bias")?));
        Ok(GroupNorm {
            gamma: Some(gamma),
            beta: Some(beta),
            num_groups: self.config.norm_num_groups,
            num_channels: channels,
            epsilon: EPSILON,
            affine: true,
        })
    }

    fn conv(
        &mut self,
        name: &str,
        [input, output]: [usize; 2],
        side: usize,
        sampling: Sampling,
    ) -> Result<Conv, W::Error> {
        let weight = self.weights.tensor(&format!("{name}.weight"), [output, input, side, side])?;
        let bias = self.weights.tensor(&format!("{name}.bias"), [output])?;
        Ok(Conv { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias), sampling })
    }
}

impl AutoencoderKl {
    /// A KL autoencoder with seeded random weights, rounded to `dtype`, the same on every machine for the same seed.
    ///
    /// # Errors
    /// [`ConfigError::Field`] when the sizes do not fit together.
    pub fn random(config: &VaeConfig, seed: u64, dtype: DType, device: &Device) -> Result<Self, ConfigError> {
        random::seeded(config, seed, dtype, device)
    }
}
