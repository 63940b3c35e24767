//! The sizes of a CLIP text model.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{ConfigError, require};

/// The sizes of a CLIP text model, as in the `config.json` of the transformers library; unknown keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipConfig {
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Channels of a token.
    pub hidden_size: usize,
    /// Hidden width of the feed-forward.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads per block.
    pub num_attention_heads: usize,
    /// The largest number of tokens of a prompt.
    pub max_position_embeddings: usize,
    /// The activation between the two layers of the feed-forward.
    #[serde(default)]
    pub hidden_act: ClipActivation,
    /// Epsilon of the norms.
    #[serde(default = "hundred_thousandth")]
    pub layer_norm_eps: f64,
    /// The token that ends a prompt; 2 means the token with the highest id, as in older configurations.
    #[serde(default = "end_of_text")]
    pub eos_token_id: u32,
}

/// The activation in the feed-forward of a CLIP text model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipActivation {
    /// `x * sigmoid(1.702 x)`, used by OpenAI's models.
    #[default]
    QuickGelu,
    /// The exact GELU.
    Gelu,
}

/// The text part of a whole CLIP model's configuration: `text_config` over the defaults of the transformers library, and over both
/// `text_config_dict`, in which older files repeat it. Any other configuration as it is.
fn of_text(mut value: Value) -> Value {
    let Some(Value::Object(own)) = value.get_mut("text_config").map(Value::take) else { return value };
    let mut text = json!({
        "vocab_size": 49_408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
        "num_attention_heads": 8, "max_position_embeddings": 77,
    });
    let older = value.get_mut("text_config_dict").map(Value::take);
    let older = older.and_then(|older| older.as_object().cloned()).unwrap_or_default();
    for (key, entry) in own.into_iter().chain(older).filter(|(_, entry)| !entry.is_null()) {
        text[key] = entry;
    }
    text
}

fn hundred_thousandth() -> f64 {
    1e-5
}

fn end_of_text() -> u32 {
    49_407
}

impl ClipConfig {
    /// The text model of FLUX.1: that of CLIP ViT-L/14.
    pub fn vit_l_14() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 77,
            hidden_act: ClipActivation::QuickGelu,
            layer_norm_eps: hundred_thousandth(),
            eos_token_id: 2,
        }
    }

    /// Parses and checks a configuration in JSON.
    ///
    /// # Errors
    /// [`ConfigError::Json`] names the key that is missing or mistyped, [`ConfigError::Field`] the one out of range.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        Self::from_value(serde_json::from_str(text))
    }

    /// [`ClipConfig::from_json`] on a parsed JSON value.
    pub(crate) fn from_value(value: Result<Value, serde_json::Error>) -> Result<Self, ConfigError> {
        let config: Self = ConfigError::parse("CLIP text", value.map(of_text))?;
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
            ("hidden_size", self.hidden_size, 1, 65_536),
            ("intermediate_size", self.intermediate_size, 1, 1 << 20),
            ("num_hidden_layers", self.num_hidden_layers, 1, 1024),
            ("num_attention_heads", self.num_attention_heads, 1, 1024),
            ("max_position_embeddings", self.max_position_embeddings, 1, 1 << 20),
        ];
        for (field, value, least, most) in sizes {
            require((least..=most).contains(&value), field, &value, || format!("{least} to {most}"))?;
        }
        let (heads, dim) = (self.num_attention_heads, self.hidden_size);
        require(dim.is_multiple_of(heads), "num_attention_heads", &heads, || {
            format!("a divisor of hidden_size {dim}")
        })?;
        let epsilon = self.layer_norm_eps;
        require(epsilon > 0.0 && epsilon < 1.0, "layer_norm_eps", &epsilon, || "between 0 and 1".into())
    }

    /// The model's name, such as `clip-text-12x768` (blocks x width).
    pub fn name(&self) -> String {
        format!("clip-text-{}x{}", self.num_hidden_layers, self.hidden_size)
    }
}
