//! Builds a FLUX transformer from named weights.

use burn::module::Param;
use burn::tensor::Device;

use super::Flux;
use super::attention::{Qkv, RmsNorm};
use super::canvas::Canvas;
use super::config::FluxConfig;
use super::double::{DoubleBlock, DoubleStream};
use super::embed::MlpEmbedder;
use super::head::OutputLayer;
use super::single::SingleBlock;
use crate::ConfigError;
use crate::nn::{Build, Init, Mlp, Norm, Numerics, Sizes, TimestepEmbedder, Weights};

impl Sizes for FluxConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        Self::validate(self)
    }

    fn name(&self) -> String {
        Self::name(self)
    }
}

impl Build for Flux {
    type Config = FluxConfig;

    /// Names are those of the original state dict, except that a single-stream block has `linear1` split into `qkv` and
    /// `mlp_in`, and `linear2` into `attn_out`, `mlp_out` and `out.bias`.
    fn build<W: Weights>(config: &FluxConfig, weights: &mut W, device: &Device) -> Result<Self, W::Error> {
        let dim = config.hidden_size();
        let parts = Parts { config, device };
        let guidance_in =
            config.guidance_embeds.then(|| parts.timesteps(weights, "guidance_in")).transpose()?;
        Ok(Self {
            img_in: weights.linear("img_in", config.in_channels, dim)?,
            txt_in: weights.linear("txt_in", config.joint_attention_dim, dim)?,
            time_in: parts.timesteps(weights, "time_in")?,
            guidance_in,
            vector_in: MlpEmbedder {
                fc1: weights.linear("vector_in.in_layer", config.pooled_projection_dim, dim)?,
                fc2: weights.linear("vector_in.out_layer", dim, dim)?,
            },
            double_blocks: (0..config.num_layers)
                .map(|layer| parts.double(weights, layer))
                .collect::<Result<_, _>>()?,
            single_blocks: (0..config.num_single_layers)
                .map(|layer| parts.single(weights, layer))
                .collect::<Result<_, _>>()?,
            output: OutputLayer {
                norm: parts.norm(),
                modulation: weights.linear("final_layer.adaLN_modulation.1", dim, 2 * dim)?,
                linear: weights.linear("final_layer.linear", dim, config.out_channels)?,
            },
            config: config.clone(),
            canvas: Canvas::default(),
            reference: [0, 0],
        })
    }

    fn init(_: &FluxConfig, key: &str, shape: &[usize]) -> Init {
        Init::usual(shape, key.ends_with("_norm.scale"))
    }
}

/// The configuration and weights from which all parts of a model are built.
struct Parts<'a> {
    config: &'a FluxConfig,
    device: &'a Device,
}

impl Parts<'_> {
    fn norm(&self) -> Norm {
        Norm::new(self.config.hidden_size(), 1e-6, self.device)
    }

    fn timesteps<W: Weights>(&self, weights: &mut W, key: &str) -> Result<TimestepEmbedder, W::Error> {
        let names = [format!("{key}.in_layer"), format!("{key}.out_layer")];
        let names = [names[0].as_str(), names[1].as_str()];
        TimestepEmbedder::build(weights, names, self.config.hidden_size(), Numerics::Original, self.device)
    }

    fn double<W: Weights>(&self, weights: &mut W, layer: usize) -> Result<DoubleBlock, W::Error> {
        let img = self.stream(weights, &format!("double_blocks.{layer}.img"))?;
        Ok(DoubleBlock { img, txt: self.stream(weights, &format!("double_blocks.{layer}.txt"))? })
    }

    fn stream<W: Weights>(&self, weights: &mut W, key: &str) -> Result<DoubleStream, W::Error> {
        let (dim, hidden) = (self.config.hidden_size(), self.config.mlp_hidden());
        Ok(DoubleStream {
            modulation: weights.linear(&format!("{key}_mod.lin"), dim, 6 * dim)?,
            norm1: self.norm(),
            qkv: self.qkv(weights, &format!("{key}_attn.qkv"), &format!("{key}_attn.norm"))?,
            proj: weights.linear(&format!("{key}_attn.proj"), dim, dim)?,
            norm2: self.norm(),
            mlp: Mlp {
                fc1: weights.linear(&format!("{key}_mlp.0"), dim, hidden)?,
                fc2: weights.linear(&format!("{key}_mlp.2"), hidden, dim)?,
            },
        })
    }

    fn single<W: Weights>(&self, weights: &mut W, layer: usize) -> Result<SingleBlock, W::Error> {
        let (dim, hidden) = (self.config.hidden_size(), self.config.mlp_hidden());
        let name = |part: &str| format!("single_blocks.{layer}.{part}");
        Ok(SingleBlock {
            modulation: weights.linear(&name("modulation.lin"), dim, 3 * dim)?,
            norm: self.norm(),
            qkv: self.qkv(weights, &name("qkv"), &name("norm"))?,
            attn_out: weights.matrix(&name("attn_out"), dim, dim)?,
            mlp_in: weights.linear(&name("mlp_in"), dim, hidden)?,
            mlp_out: weights.matrix(&name("mlp_out"), hidden, dim)?,
            bias: Param::from_tensor(weights.tensor(&name("out.bias"), [dim])?),
        })
    }

    fn qkv<W: Weights>(&self, weights: &mut W, key: &str, norm: &str) -> Result<Qkv, W::Error> {
        let (dim, head) = (self.config.hidden_size(), self.config.attention_head_dim);
        let mut scale = |name: &str| {
            let scale = weights.tensor(&format!("{norm}.{name}.scale"), [head])?;
            Ok(RmsNorm { scale: Param::from_tensor(scale) })
        };
        let (query_norm, key_norm) = (scale("query_norm")?, scale("key_norm")?);
        let linear = weights.linear(key, dim, 3 * dim)?;
        Ok(Qkv { linear, query_norm, key_norm, heads: self.config.num_attention_heads })
    }
}
