//! Builds a CLIP text model from named weights.

use burn::module::Param;
use burn::tensor::{DType, Device};

use super::block::{ClipAttention, ClipBlock, ClipMlp, ClipNorm};
use super::{ClipConfig, ClipText};
use crate::nn::{Build, Init, Sizes, Weights};
use crate::{ConfigError, random};

impl Sizes for ClipConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        Self::validate(self)
    }

    fn name(&self) -> String {
        Self::name(self)
    }
}

impl Build for ClipText {
    type Config = ClipConfig;

    /// Names are those of the transformers library, without the `text_model.` before them.
    fn build<W: Weights>(config: &ClipConfig, weights: &mut W, _: &Device) -> Result<Self, W::Error> {
        let dim = config.hidden_size;
        let tokens = weights.tensor("embeddings.token_embedding.weight", [config.vocab_size, dim])?;
        let positions =
            weights.tensor("embeddings.position_embedding.weight", [config.max_position_embeddings, dim])?;
        Ok(Self {
            token_embedding: Param::from_tensor(tokens),
            position_embedding: Param::from_tensor(positions),
            blocks: (0..config.num_hidden_layers)
                .map(|layer| block(config, weights, layer))
                .collect::<Result<_, _>>()?,
            final_norm: norm(config, weights, "final_layer_norm")?,
            config: config.clone(),
        })
    }

    fn init(_: &ClipConfig, key: &str, shape: &[usize]) -> Init {
        Init::usual(shape, key.contains("layer_norm") && key.ends_with(".weight"))
    }
}

fn block<W: Weights>(config: &ClipConfig, weights: &mut W, layer: usize) -> Result<ClipBlock, W::Error> {
    let (dim, hidden) = (config.hidden_size, config.intermediate_size);
    let name = |part: &str| format!("encoder.layers.{layer}.{part}");
    Ok(ClipBlock {
        norm1: norm(config, weights, &name("layer_norm1"))?,
        attention: ClipAttention {
            q: weights.linear(&name("self_attn.q_proj"), dim, dim)?,
            k: weights.linear(&name("self_attn.k_proj"), dim, dim)?,
            v: weights.linear(&name("self_attn.v_proj"), dim, dim)?,
            out: weights.linear(&name("self_attn.out_proj"), dim, dim)?,
            heads: config.num_attention_heads,
        },
        norm2: norm(config, weights, &name("layer_norm2"))?,
        mlp: ClipMlp {
            fc1: weights.linear(&name("mlp.fc1"), dim, hidden)?,
            fc2: weights.linear(&name("mlp.fc2"), hidden, dim)?,
            activation: config.hidden_act,
        },
    })
}

fn norm<W: Weights>(config: &ClipConfig, weights: &mut W, key: &str) -> Result<ClipNorm, W::Error> {
    let scale = Param::from_tensor(weights.tensor(&format!("{key}.weight"), [config.hidden_size])?);
    let shift = Param::from_tensor(weights.tensor(&format!("{key}.bias"), [config.hidden_size])?);
    Ok(ClipNorm { scale, shift, epsilon: config.layer_norm_eps })
}

impl ClipText {
    /// A CLIP text model with seeded random weights, rounded to `dtype`, the same on every machine for the same seed.
    ///
    /// # Errors
    /// [`ConfigError::Field`] when the sizes do not fit together.
    pub fn random(
        config: &ClipConfig,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        random::seeded(config, seed, dtype, device)
    }
}
