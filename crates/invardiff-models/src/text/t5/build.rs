//! Builds a T5 encoder from named weights.

use burn::module::Param;
use burn::tensor::{DType, Device};

use super::attention::T5Attention;
use super::bias::PositionBias;
use super::block::{T5Block, T5FeedForward, T5Norm};
use super::{T5Config, T5Encoder};
use crate::nn::{Build, Init, Sizes, Weights};
use crate::{ConfigError, random};

impl Sizes for T5Config {
    fn validate(&self) -> Result<(), ConfigError> {
        Self::validate(self)
    }

    fn name(&self) -> String {
        Self::name(self)
    }
}

impl Build for T5Encoder {
    type Config = T5Config;

    /// Names are those of the transformers library.
    fn build<W: Weights>(config: &T5Config, weights: &mut W, _: &Device) -> Result<Self, W::Error> {
        let table = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
        let rows = [config.relative_attention_num_buckets, config.num_heads];
        Ok(Self {
            shared: Param::from_tensor(weights.tensor("shared.weight", [config.vocab_size, config.d_model])?),
            position_bias: PositionBias {
                table: Param::from_tensor(weights.tensor(table, rows)?),
                max_distance: config.relative_attention_max_distance,
            },
            blocks: (0..config.num_layers)
                .map(|layer| block(config, weights, layer))
                .collect::<Result<_, _>>()?,
            final_norm: norm(config, weights, "encoder.final_layer_norm.weight")?,
            config: config.clone(),
        })
    }

    fn init(_: &T5Config, key: &str, shape: &[usize]) -> Init {
        Init::usual(shape, key.ends_with("layer_norm.weight"))
    }
}

fn block<W: Weights>(config: &T5Config, weights: &mut W, layer: usize) -> Result<T5Block, W::Error> {
    let (dim, hidden, inner) = (config.d_model, config.d_ff, config.num_heads * config.d_kv);
    let name = |part: &str| format!("encoder.block.{layer}.layer.{part}");
    Ok(T5Block {
        norm1: norm(config, weights, &name("0.layer_norm.weight"))?,
        attention: T5Attention {
            q: weights.matrix(&name("0.SelfAttention.q"), dim, inner)?,
            k: weights.matrix(&name("0.SelfAttention.k"), dim, inner)?,
            v: weights.matrix(&name("0.SelfAttention.v"), dim, inner)?,
            o: weights.matrix(&name("0.SelfAttention.o"), inner, dim)?,
            heads: config.num_heads,
        },
        norm2: norm(config, weights, &name("1.layer_norm.weight"))?,
        feed_forward: T5FeedForward {
            wi_0: weights.matrix(&name("1.DenseReluDense.wi_0"), dim, hidden)?,
            wi_1: weights.matrix(&name("1.DenseReluDense.wi_1"), dim, hidden)?,
            wo: weights.matrix(&name("1.DenseReluDense.wo"), hidden, dim)?,
        },
    })
}

fn norm<W: Weights>(config: &T5Config, weights: &mut W, key: &str) -> Result<T5Norm, W::Error> {
    let scale = Param::from_tensor(weights.tensor(key, [config.d_model])?);
    Ok(T5Norm { scale, epsilon: config.layer_norm_epsilon })
}

impl T5Encoder {
    /// A T5 encoder with seeded random weights, rounded to `dtype`, the same on every machine for the same seed.
    ///
    /// # Errors
    /// [`ConfigError::Field`] when the sizes do not fit together.
    pub fn random(config: &T5Config, seed: u64, dtype: DType, device: &Device) -> Result<Self, ConfigError> {
        random::seeded(config, seed, dtype, device)
    }
}
