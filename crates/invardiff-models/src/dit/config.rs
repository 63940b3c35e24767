//! The sizes of a DiT and what it was trained to do.

use invardiff_plan::OutputForm;
use invardiff_runtime::{BetaSchedule, NoiseSchedule, RuntimeError};
use serde::{Deserialize, Serialize};

/// Which of the two published implementations the numbers follow. They differ in two places and agree in everything
/// else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numerics {
    /// As the DiT authors: frequencies `10000^(-i/half)`, both norms of a block with epsilon 1e-6. Weights were trained so.
    #[default]
    Original,
    /// As the diffusers library: frequencies `10000^(-i/(half-1))`, the second norm of a block with epsilon 1e-5.
    Diffusers,
}

/// The names that model files have for what the output means.
#[derive(Serialize, Deserialize)]
#[serde(remote = "OutputForm", rename_all = "snake_case")]
enum PredictionType {
    #[serde(rename = "sample")]
    X0,
    Epsilon,
    #[serde(rename = "v_prediction")]
    Velocity,
}

/// The names that model files have for the noise schedule of the training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseName {
    /// [`BetaSchedule::DIT`]: from 1e-4 to 2e-2 in equal steps.
    #[default]
    Linear,
}

/// A diffusion transformer (Peebles and Xie 2022, section 3.2): its sizes, and what it was trained to do.
///
/// Reads the `config.json` of this project and the `config` object of a fixture's manifest; keys that it does not know
/// are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DitConfig {
    /// Rows and columns of the sample (of the latents, for a model with an autoencoder).
    pub input_size: usize,
    /// Rows and columns of one patch.
    pub patch_size: usize,
    /// Channels of the sample.
    pub in_channels: usize,
    /// Channels of a token.
    pub hidden_size: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads of a block.
    pub num_heads: usize,
    /// Width of the feed-forward, as a multiple of `hidden_size`.
    #[serde(default = "four")]
    pub mlp_ratio: f64,
    /// Classes; the index `num_classes` is the null class of guidance.
    #[serde(default = "imagenet")]
    pub num_classes: usize,
    /// Whether a second half of output channels predicts the variance.
    #[serde(default = "yes")]
    pub learn_sigma: bool,
    /// Whose numbers to follow; by default what the names of the weights say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics: Option<Numerics>,
    /// What the output means: `epsilon` (the default), `v_prediction` or `sample` in a file.
    #[serde(default = "epsilon", with = "PredictionType")]
    pub prediction_type: OutputForm,
    /// The noise schedule of the training.
    #[serde(default)]
    pub beta_schedule: NoiseName,
    /// Timesteps of the training.
    #[serde(default = "thousand")]
    pub num_train_timesteps: usize,
    /// Names of the classes, or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// The guidance scale that suits the model, where its authors name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_scale: Option<f32>,
    /// Range of the sample's values where the sample is a picture; absent for latents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_range: Option<[f32; 2]>,
}

fn epsilon() -> OutputForm {
    OutputForm::Epsilon
}

fn four() -> f64 {
    4.0
}

fn imagenet() -> usize {
    1000
}

fn thousand() -> usize {
    1000
}

fn yes() -> bool {
    true
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field with a value that the model cannot have.
    #[error("'{field}' is {value}, expected {expected}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// The value found.
        value: String,
        /// The allowed values in words.
        expected: String,
    },
    /// Text that is no configuration: of which model, and why.
    #[error("no {0}")]
    Json(String),
    /// A name that is none of the published sizes.
    #[error("'{name}' is no published size; there are {known}")]
    Name {
        /// The name as given.
        name: String,
        /// All names, comma separated.
        known: String,
    },
}

impl ConfigError {
    pub(crate) fn no_dit(error: serde_json::Error) -> Self {
        Self::Json(format!("DiT configuration: {error}"))
    }

    /// Parses a configuration of `what`; the error names the key.
    pub(crate) fn parse<C: serde::de::DeserializeOwned>(
        what: &str,
        value: Result<serde_json::Value, serde_json::Error>,
    ) -> Result<C, Self> {
        let no = |detail: String| Self::Json(format!("{what} configuration: {detail}"));
        let value = value.map_err(|error| no(error.to_string()))?;
        serde_path_to_error::deserialize(value).map_err(|error| match error.path().iter().next() {
            Some(_) => no(error.to_string()),
            None => no(error.into_inner().to_string()),
        })
    }

    pub(crate) fn no_flux(error: serde_json::Error) -> Self {
        Self::Json(format!("FLUX configuration: {error}"))
    }
}

impl DitConfig {
    /// A DiT of these sizes, with the rest as DiT's authors have it: feed-forward four times as wide, 1000 classes,
    /// learned sigma.
    pub fn new(
        input_size: usize,
        patch_size: usize,
        in_channels: usize,
        hidden_size: usize,
        depth: usize,
        num_heads: usize,
    ) -> Self {
        Self {
            input_size,
            patch_size,
            in_channels,
            hidden_size,
            depth,
            num_heads,
            mlp_ratio: four(),
            num_classes: imagenet(),
            learn_sigma: yes(),
            numerics: None,
            prediction_type: epsilon(),
            beta_schedule: NoiseName::default(),
            num_train_timesteps: thousand(),
            class_names: Vec::new(),
            guidance_scale: None,
            pixel_range: None,
        }
    }

    /// The configuration in a JSON text, checked.
    ///
    /// # Errors
    /// [`ConfigError::Json`] names what is missing or mistyped, [`ConfigError::Field`] the field out of range.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(text).map_err(ConfigError::no_dit)?;
        config.validate()?;
        Ok(config)
    }

    /// Refuses sizes that do not fit together.
    ///
    /// # Errors
    /// [`ConfigError::Field`] with the field, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("input_size", self.input_size, 4096),
            ("patch_size", self.patch_size, 256),
            ("in_channels", self.in_channels, 1024),
            ("hidden_size", self.hidden_size, 65_536),
            ("depth", self.depth, 1024),
            ("num_heads", self.num_heads, 1024),
            ("num_classes", self.num_classes, 10_000_000),
            ("num_train_timesteps", self.num_train_timesteps, 1_000_000),
        ];
        for (field, value, most) in sizes {
            require(value >= 1 && value <= most, field, &value, || format!("1 to {most}"))?;
        }
        let (input, patch) = (self.input_size, self.patch_size);
        require(input.is_multiple_of(patch), "input_size", &input, || {
            format!("a multiple of patch_size {patch}")
        })?;
        let (hidden, heads) = (self.hidden_size, self.num_heads);
        require(hidden.is_multiple_of(heads), "hidden_size", &hidden, || {
            format!("a multiple of num_heads {heads}")
        })?;
        require(hidden.is_multiple_of(4), "hidden_size", &hidden, || "a multiple of 4".into())?;
        let ratio = self.mlp_ratio;
        require((0.01..=64.0).contains(&ratio) && self.mlp_hidden() > 0, "mlp_ratio", &ratio, || {
            "0.01 to 64, and at least one channel".into()
        })?;
        let names = self.class_names.len();
        require(names == 0 || names == self.num_classes, "class_names", &format!("{names} names"), || {
            format!("none, or one for each of the {} classes", self.num_classes)
        })
    }

    /// The noise schedule of the training.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] without timesteps.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule, RuntimeError> {
        let betas = match self.beta_schedule {
            NoiseName::Linear => BetaSchedule::DIT,
        };
        NoiseSchedule::new(betas, self.num_train_timesteps)
    }

    /// Channels of the raw output: twice the input's with learned sigma.
    pub fn out_channels(&self) -> usize {
        if self.learn_sigma { 2 * self.in_channels } else { self.in_channels }
    }

    /// Patches along one side.
    pub fn grid(&self) -> usize {
        self.input_size / self.patch_size
    }

    /// Tokens of one sample.
    pub fn tokens(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Width of the feed-forward.
    pub fn mlp_hidden(&self) -> usize {
        (self.hidden_size as f64 * self.mlp_ratio) as usize
    }

    /// Values of one patch, `in_channels * patch_size^2`.
    pub fn patch_elements(&self) -> usize {
        self.in_channels * self.patch_size * self.patch_size
    }
}

/// Refuses a field's value.
pub(crate) fn require(
    holds: bool,
    field: &'static str,
    value: &dyn std::fmt::Display,
    expected: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Field { field, value: value.to_string(), expected: expected() })
}
