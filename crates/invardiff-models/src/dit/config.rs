//! The sizes and training settings of a DiT.

use invardiff_plan::OutputForm;
use invardiff_runtime::{BetaSchedule, NoiseSchedule, RuntimeError};
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, require};
use crate::nn::Numerics;

/// The most values of a position table, tokens times channels: 256 MiB, fifty times that of the largest published DiT.
const LARGEST_TABLE: usize = 1 << 26;

/// Names of the prediction type in model files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "OutputForm", rename_all = "snake_case")]
enum PredictionType {
    #[serde(rename = "sample")]
    X0,
    Epsilon,
    #[serde(rename = "v_prediction")]
    Velocity,
}

/// The training's noise schedule, by its name in model files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseName {
    /// [`BetaSchedule::DIT`]: from 1e-4 to 2e-2 in equal steps.
    #[default]
    Linear,
}

/// The sizes and training settings of a diffusion transformer (Peebles and Xie 2022, section 3.2).
///
/// Deserialises from this project's `config.json` and from the `config` object of a fixture's manifest; unknown keys are
/// ignored. [`DitConfig::named`] has the published sizes, and a struct literal gives any other:
///
/// ```
/// use burn::tensor::Device;
/// use invardiff_models::{Dit, DitConfig};
/// use invardiff_runtime::Denoiser;
///
/// let config = DitConfig { input_size: 8, hidden_size: 64, depth: 2, num_heads: 4, ..DitConfig::default() };
/// assert_eq!(config.name(), "dit-2x64-p2-8x8x4");
/// let dit = Dit::random(&config, 0, &Device::flex())?;
/// assert_eq!(dit.topology().sites.len(), 4, "attention and feed-forward of two blocks");
/// # Ok::<(), invardiff_models::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DitConfig {
    /// Rows and columns of the sample; of the latents, for a model with an autoencoder.
    pub input_size: usize,
    /// Rows and columns of a patch.
    pub patch_size: usize,
    /// Channels of the sample.
    pub in_channels: usize,
    /// Channels of a token.
    pub hidden_size: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads per block.
    pub num_heads: usize,
    /// Hidden width of the feed-forward, as a multiple of `hidden_size`.
    #[serde(default = "four")]
    pub mlp_ratio: f64,
    /// Number of classes; the index `num_classes` is the null class of guidance.
    #[serde(default = "imagenet")]
    pub num_classes: usize,
    /// Whether the second half of the output channels predicts the variance.
    #[serde(default = "yes")]
    pub learn_sigma: bool,
    /// Which implementation is reproduced exactly (original or diffusers); by default the one whose naming the weights have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics: Option<Numerics>,
    /// What the model predicts: `epsilon` (the default), `v_prediction` or `sample` in a file.
    #[serde(default = "epsilon", with = "PredictionType")]
    pub prediction_type: OutputForm,
    /// The noise schedule of the training.
    #[serde(default)]
    pub beta_schedule: NoiseName,
    /// Number of timesteps of the training.
    #[serde(default = "thousand")]
    pub num_train_timesteps: usize,
    /// Names of the classes; empty if unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// The guidance scale that the model's authors recommend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance_scale: Option<f32>,
    /// Range of the sample's values if the sample is an image; `None` for latents.
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

impl Default for DitConfig {
    /// DiT-XL/2 at 256 x 256 pixels. Use it in a struct literal that sets the sizes that differ.
    fn default() -> Self {
        Self {
            input_size: 32,
            patch_size: 2,
            in_channels: 4,
            hidden_size: 1152,
            depth: 28,
            num_heads: 16,
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
}

impl DitConfig {
    /// Parses and checks a configuration in JSON.
    ///
    /// # Errors
    /// [`ConfigError::Json`] names what is missing or mistyped, [`ConfigError::Field`] the field out of range.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(text).map_err(ConfigError::no_dit)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that the sizes fit together.
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
        let table = self.tokens() * hidden;
        require(table <= LARGEST_TABLE, "input_size", &input, || {
            format!("at most {LARGEST_TABLE} values of tokens x hidden_size, not {table}")
        })?;
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
    /// [`RuntimeError::Range`] when there are no timesteps.
    pub fn noise_schedule(&self) -> Result<NoiseSchedule, RuntimeError> {
        let betas = match self.beta_schedule {
            NoiseName::Linear => BetaSchedule::DIT,
        };
        NoiseSchedule::new(betas, self.num_train_timesteps)
    }

    /// Channels of the raw output: twice `in_channels` with learned sigma.
    pub fn out_channels(&self) -> usize {
        if self.learn_sigma { 2 * self.in_channels } else { self.in_channels }
    }

    /// Patches along one side of the sample.
    pub fn grid(&self) -> usize {
        self.input_size / self.patch_size
    }

    /// Tokens per sample.
    pub fn tokens(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Hidden width of the feed-forward.
    pub fn mlp_hidden(&self) -> usize {
        (self.hidden_size as f64 * self.mlp_ratio) as usize
    }

    /// Values of one patch, `in_channels * patch_size^2`.
    pub fn patch_elements(&self) -> usize {
        self.in_channels * self.patch_size * self.patch_size
    }
}
