//! A DiT from named weights, whatever they come from.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use super::Dit;
use super::block::{Attention, DitBlock, Mlp, Norm};
use super::config::{DitConfig, Numerics};
use super::embed::{FREQUENCY_CHANNELS, PatchEmbed, TimestepEmbedder, frequencies};
use super::head::FinalLayer;

/// Gives weights by name. Names and shapes are those of the original DiT's state dict; they are spelled once, in
/// [`Dit::build`], which serves for checking a file, reading it and drawing random weights.
pub(crate) trait Weights {
    /// Why a weight cannot be given.
    type Error;

    /// The weight of this name and shape.
    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Self::Error>;

    /// The linear map of this name, its weight kept in PyTorch's order and seen transposed.
    fn linear(&mut self, key: &str, d_input: usize, d_output: usize) -> Result<Linear, Self::Error> {
        let weight = self.tensor(&format!("{key}.weight"), [d_output, d_input])?;
        self.linear_of(key, weight)
    }

    /// The linear map of this name without bias, its weight kept in PyTorch's order and seen transposed.
    fn matrix(&mut self, key: &str, d_input: usize, d_output: usize) -> Result<Linear, Self::Error> {
        let weight = self.tensor::<2>(&format!("{key}.weight"), [d_output, d_input])?;
        Ok(Linear { weight: Param::from_tensor(weight.transpose()), bias: None })
    }

    /// The linear map of this name with a weight `[d_output, d_input]`.
    fn linear_of(&mut self, key: &str, weight: Tensor<2>) -> Result<Linear, Self::Error> {
        let [d_output, _] = weight.dims();
        let bias = self.tensor(&format!("{key}.bias"), [d_output])?;
        Ok(Linear { weight: Param::from_tensor(weight.transpose()), bias: Some(Param::from_tensor(bias)) })
    }
}

impl Dit {
    /// Builds the model of a valid configuration.
    pub(crate) fn build<W: Weights>(
        config: &DitConfig,
        weights: &mut W,
        device: &Device,
    ) -> Result<Self, W::Error> {
        let (dim, p) = (config.hidden_size, config.patch_size);
        let numerics = config.numerics.unwrap_or_default();
        let patch = weights.tensor("x_embedder.proj.weight", [dim, config.in_channels, p, p])?;
        let patch = patch.reshape([dim, config.patch_elements()]);
        Ok(Self {
            x_embedder: PatchEmbed { proj: weights.linear_of("x_embedder.proj", patch)?, patch_size: p },
            pos_embed: Param::from_tensor(weights.tensor("pos_embed", [1, config.tokens(), dim])?),
            t_embedder: TimestepEmbedder {
                fc1: weights.linear("t_embedder.mlp.0", FREQUENCY_CHANNELS, dim)?,
                fc2: weights.linear("t_embedder.mlp.2", dim, dim)?,
                frequencies: frequencies(numerics, device),
            },
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
}

fn block<W: Weights>(
    config: &DitConfig,
    layer: usize,
    weights: &mut W,
    device: &Device,
) -> Result<DitBlock, W::Error> {
    let (dim, wide) = (config.hidden_size, config.mlp_hidden());
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
            fc1: weights.linear(&name("mlp.fc1"), dim, wide)?,
            fc2: weights.linear(&name("mlp.fc2"), wide, dim)?,
        },
        modulation: weights.linear(&name("adaLN_modulation.1"), dim, 6 * dim)?,
    })
}
