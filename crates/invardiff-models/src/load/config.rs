//! The configuration beside the weights.

use std::path::Path;

use invardiff_plan::files;
use serde::Deserialize;
use serde_json::Value;

use super::error::LoadError;
use crate::{ConfigError, DitConfig, FluxConfig, Numerics};

/// The configuration beside a file, read by `parse`: `config.json` (this project's or diffusers'), or the `config` object of
/// `manifest.json`. `None` if there is neither.
pub(super) fn beside<C>(file: &Path, parse: Parse<C>) -> Result<Option<C>, LoadError> {
    match read(&file.with_file_name("config.json"), Some, parse)? {
        Some(config) => Ok(Some(config)),
        None => read(
            &file.with_file_name("manifest.json"),
            |mut value| value.get_mut("config").map(Value::take),
            parse,
        ),
    }
}

/// Converts a parsed document to a configuration; gets the parser's error if the text is not JSON.
pub(super) type Parse<C> = fn(Result<Value, serde_json::Error>) -> Result<C, ConfigError>;

/// The configuration in the part of a file's document that `pick` returns; `None` without such a file or part.
pub(super) fn read<C>(
    path: &Path,
    pick: impl FnOnce(Value) -> Option<Value>,
    parse: Parse<C>,
) -> Result<Option<C>, LoadError> {
    if !path.is_file() {
        return Ok(None);
    }
    let file = path.display().to_string();
    let text = files::read_text(path, files::SETTINGS_LIMIT)
        .map_err(|source| LoadError::Io { file: file.clone(), source })?;
    let value = match serde_json::from_str::<Value>(&text) {
        Ok(value) => pick(value).map(Ok),
        Err(error) => Some(Err(error)),
    };
    value.map(parse).transpose().map_err(|source| LoadError::Config { file, source })
}

/// A DiT's configuration.
pub(super) fn dit(value: Result<Value, serde_json::Error>) -> Result<DitConfig, ConfigError> {
    let value = value.map_err(ConfigError::no_dit)?;
    let config = if value.get("_class_name").is_some() {
        serde_json::from_value::<Diffusers>(value).map_err(ConfigError::no_dit)?.convert()?
    } else {
        serde_json::from_value(value).map_err(ConfigError::no_dit)?
    };
    config.validate()?;
    Ok(config)
}

/// A FLUX transformer's configuration.
pub(super) fn flux(value: Result<Value, serde_json::Error>) -> Result<FluxConfig, ConfigError> {
    FluxConfig::from_value(value.map_err(ConfigError::no_flux)?)
}

/// The `config.json` of diffusers' `DiTTransformer2DModel`. Fields that select an architecture must select DiT's; absent fields
/// have diffusers' defaults.
#[derive(Deserialize)]
struct Diffusers {
    #[serde(rename = "_class_name")]
    class_name: String,
    sample_size: usize,
    patch_size: usize,
    in_channels: usize,
    out_channels: Option<usize>,
    num_layers: usize,
    num_attention_heads: usize,
    attention_head_dim: usize,
    num_embeds_ada_norm: usize,
    norm_eps: Option<f64>,
    norm_type: Option<String>,
    activation_fn: Option<String>,
    attention_bias: Option<bool>,
    norm_elementwise_affine: Option<bool>,
}

impl Diffusers {
    fn convert(self) -> Result<DitConfig, ConfigError> {
        let known = matches!(self.class_name.as_str(), "DiTTransformer2DModel" | "Transformer2DModel");
        expect(known, "_class_name", &self.class_name, "DiTTransformer2DModel or Transformer2DModel")?;
        let older = self.class_name == "Transformer2DModel";
        let norm = self.norm_type.unwrap_or_else(|| default(older, "layer_norm", "ada_norm_zero"));
        expect(norm == "ada_norm_zero", "norm_type", &norm, "ada_norm_zero")?;
        let activation = self.activation_fn.unwrap_or_else(|| default(older, "geglu", "gelu-approximate"));
        expect(activation == "gelu-approximate", "activation_fn", &activation, "gelu-approximate")?;
        let bias = self.attention_bias.unwrap_or(!older);
        expect(bias, "attention_bias", &bias, "true")?;
        let affine = self.norm_elementwise_affine.unwrap_or(older);
        expect(!affine, "norm_elementwise_affine", &affine, "false")?;
        let epsilon = self.norm_eps.unwrap_or(1e-5);
        expect(epsilon == 1e-5, "norm_eps", &epsilon, "1e-5")?;
        let (input, output) = (self.in_channels, self.out_channels.unwrap_or(self.in_channels));
        let learn_sigma = output == input.saturating_mul(2);
        expect(learn_sigma || output == input, "out_channels", &output, "in_channels, or twice as many")?;
        let hidden_size = self.num_attention_heads.saturating_mul(self.attention_head_dim);
        Ok(DitConfig {
            input_size: self.sample_size,
            patch_size: self.patch_size,
            in_channels: input,
            hidden_size,
            depth: self.num_layers,
            num_heads: self.num_attention_heads,
            num_classes: self.num_embeds_ada_norm,
            learn_sigma,
            numerics: Some(Numerics::Diffusers),
            ..DitConfig::default()
        })
    }
}

fn default(older: bool, of_older: &str, of_newer: &str) -> String {
    if older { of_older } else { of_newer }.to_owned()
}

fn expect(
    holds: bool,
    field: &'static str,
    value: &dyn std::fmt::Display,
    expected: &str,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Field { field, value: value.to_string(), expected: expected.to_owned() })
}
