//! The sizes of a T5 encoder.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{ConfigError, require};

/// The sizes of a T5 encoder, as in the `config.json` of the transformers library; unknown keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Channels of a token.
    pub d_model: usize,
    /// Channels of one attention head; all heads together may be wider or narrower than a token.
    pub d_kv: usize,
    /// Hidden width of the feed-forward.
    pub d_ff: usize,
    /// Number of blocks.
    pub num_layers: usize,
    /// Attention heads per block.
    pub num_heads: usize,
    /// Number of distance ranges with a bias of their own, both directions together.
    #[serde(default = "thirty_two")]
    pub relative_attention_num_buckets: usize,
    /// All distances from this one on share one bias.
    #[serde(default = "hundred_and_twenty_eight")]
    pub relative_attention_max_distance: usize,
    /// Epsilon of the norms.
    #[serde(default = "millionth")]
    pub layer_norm_epsilon: f64,
    /// The kind of feed-forward.
    pub feed_forward_proj: T5Activation,
}

/// The kind of feed-forward in a T5 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum T5Activation {
    /// T5 v1.1: one projection passes a GELU (tanh approximation) and scales the other.
    #[serde(rename = "gated-gelu")]
    GatedGelu,
}

fn thirty_two() -> usize {
    32
}

fn hundred_and_twenty_eight() -> usize {
    128
}

fn millionth() -> f64 {
    1e-6
}

impl T5Config {
    /// The encoder of FLUX.1: T5 v1.1 XXL.
    pub fn xxl() -> Self {
        Self {
            vocab_size: 32_128,
            d_model: 4096,
            d_kv: 64,
            d_ff: 10_240,
            num_layers: 24,
            num_heads: 64,
            relative_attention_num_buckets: thirty_two(),
            relative_attention_max_distance: hundred_and_twenty_eight(),
            layer_norm_epsilon: millionth(),
            feed_forward_proj: T5Activation::GatedGelu,
        }
    }

    /// Parses and checks a configuration in JSON.
    ///
    /// # Errors
    /// [`ConfigError::Json`] names the key that is missing or mistyped, [`ConfigError::Field`] the one out of range.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        Self::from_value(serde_json::from_str(text))
    }

    /// [`T5Config::from_json`] on a parsed JSON value.
    pub(crate) fn from_value(value: Result<Value, serde_json::Error>) -> Result<Self, ConfigError> {
        let config: Self = ConfigError::parse("T5", value)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError::Field`] with the field, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("vocab_size", self.vocab_size, 1, 1 << 24),
            ("d_model", self.d_model, 1, 65_536),
            ("d_kv", self.d_kv, 1, 4096),
            ("d_ff", self.d_ff, 1, 1 << 20),
            ("num_layers", self.num_layers, 1, 1024),
            ("num_heads", self.num_heads, 1, 1024),
            ("relative_attention_num_buckets", self.relative_attention_num_buckets, 4, 1 << 16),
        ];
        for (field, value, least, most) in sizes {
            require((least..=most).contains(&value), field, &value, || format!("{least} to {most}"))?;
        }
        let (buckets, distance) = (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        require(buckets.is_multiple_of(4), "relative_attention_num_buckets", &buckets, || {
            "a multiple of 4".into()
        })?;
        let exact = buckets / 4;
        require(
            (exact + 1..=1 << 24).contains(&distance),
            "relative_attention_max_distance",
            &distance,
            || format!("more than a quarter of relative_attention_num_buckets, {exact}"),
        )?;
        let epsilon = self.layer_norm_epsilon;
        require(epsilon > 0.0 && epsilon < 1.0, "layer_norm_epsilon", &epsilon, || "between 0 and 1".into())
    }

    /// The model's name: `t5-v1_1-xxl` for that model, otherwise one that spells the sizes, such as `t5-3x32` (blocks x
    /// width).
    pub fn name(&self) -> String {
        if *self == Self::xxl() {
            return "t5-v1_1-xxl".into();
        }
        format!("t5-{}x{}", self.num_layers, self.d_model)
    }
}
