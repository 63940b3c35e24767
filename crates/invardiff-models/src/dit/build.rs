//! Builds a DiT from named weights.

use burn::module::Param;
use burn::tensor::Device;

use super::Dit;
use super::block::{Attention, DitBlock};
use super::config::DitConfig;
use super::embed::{PatchEmbed, position_table};
use super::head::FinalLayer;
use crate::ConfigError;
use crate::nn::{Build, Init, Mlp, Norm, Numerics, Sizes, TimestepEmbedder, Weights};

impl Sizes for DitConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        Self::validate(self)
    }

    fn name(&self) -> String {
        Self::name(self)
    }
}

impl Build for Dit {
    type Config = DitConfig;

    /// Names are those of the original DiT's state dict.
    fn build<W: Weights>(config: &DitConfig, weights: &mut W, device: &Device) -> Result<Self, W::Error> {
        let (dim, p) = (config.hidden_size, config.patch_size);
        let numerics = config.numerics.unwrap_or_default();
        let patch = weights.tensor("x_embedder.proj.weight", [dim, config.in_channels, p, p])?;
        let patch = patch.reshape([dim, config.patch_elements()]);
        let timestep = ["t_embedder.mlp.0", "t_embedder.mlp.2"];
        Ok(Self {
            x_embedder: PatchEmbed { proj: weights.linear_of("x_embedder.proj", patch)?, patch_size: p },
            pos_embed: Param::from_tensor(weights.tensor("pos_embed", [1, config.tokens(), dim])?),
            t_embedder: TimestepEmbedder::build(weights, timestep, dim, numerics, device)?,
            y_embedder: Param::from_tensor(
                weights.tensor("y_embedder.embedding_table.weight", [config.num_classes + 1, dim])?,
            ),
            blocks: (0..config.depth)
                .map(|layer| block(config, layer, weights, device))
                .collect::<Result<_, _>>()?,
            final_layer: FinalLayer {
                norm: Norm::new(dim, 1e-6, device),
                modulation: weights.linear("final_layer.adaLN_modulation.1", dim, 2 * dim)?,
                linear: weights.linear("final_layer.linear", dim, p * p * config.out_channels())?,
                patch_size: p,
            },
            config: config.clone(),
        })
    }

    fn init(config: &DitConfig, key: &str, shape: &[usize]) -> Init {
        match key {
            "pos_embed" => Init::Values(position_table(config)),
            "y_embedder.embedding_table.weight" => Init::Uniform { mean: 0.0, deviation: 1.0 },
            _ => Init::usual(shape, false),
        }
    }
}

fn block<W: Weights>(
    config: &DitConfig,
    layer: usize,
    weights: &mut W,
    device: &Device,
) -> Result<DitBlock, W::Error> {
    let (dim, hidden) = (config.hidden_size, config.mlp_hidden());
    let name = |part: &str| format!("blocks.{layer}.{part}");
    let second_epsilon = match config.numerics.unwrap_or_default() {
        Numerics::Original => 1e-6,
        Numerics::Diffusers => 1e-5,
    };
    Ok(DitBlock {
        norm1: Norm::new(dim, 1e-6, device),
        attn: Attention {
            qkv: weights.linear(&name("attn.qkv"), dim, 3 * dim)?,
            proj: weights.linear(&name("attn.proj"), dim, dim)?,
            heads: config.num_heads,
        },
        norm2: Norm::new(dim, second_epsilon, device),
        mlp: Mlp {
            fc1: weights.linear(&name("mlp.fc1"), dim, hidden)?,
            fc2: weights.linear(&name("mlp.fc2"), hidden, dim)?,
        },
        modulation: weights.linear(&name("adaLN_modulation.1"), dim, 6 * dim)?,
    })
}
