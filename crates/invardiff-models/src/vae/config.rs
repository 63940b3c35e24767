//! The sizes of a KL autoencoder.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{ConfigError, require};

/// The sizes of a KL autoencoder, as in the `config.json` of diffusers' `AutoencoderKL`. Sizes are required, other absent
/// fields have diffusers' defaults, unknown keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Document", try_from = "Document")]
pub struct VaeConfig {
    /// Channels of an image.
    pub in_channels: usize,
    /// Channels of a decoded image.
    pub out_channels: usize,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Channels of each resolution, the image's first; each but the last halves height and width.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per resolution in the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Groups of the group norms.
    pub norm_num_groups: usize,
    /// The factor that gives the latents of diffusion a standard deviation of about one.
    pub scaling_factor: f64,
    /// The number subtracted from latents before they are scaled.
    pub shift_factor: f64,
    /// Whether a 1 x 1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1 x 1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Whether encoder and decoder have attention at their lowest resolution.
    pub mid_block_add_attention: bool,
}

impl VaeConfig {
    /// The autoencoder of Stable Diffusion 1 and 2, which DiT uses.
    pub fn stable_diffusion() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            latent_channels: 4,
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            shift_factor: 0.0,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }

    /// The autoencoder of FLUX.1.
    pub fn flux() -> Self {
        Self {
            latent_channels: 16,
            scaling_factor: 0.3611,
            shift_factor: 0.1159,
            use_quant_conv: false,
            use_post_quant_conv: false,
            ..Self::stable_diffusion()
        }
    }

    /// Parses and checks a configuration in JSON.
    ///
    /// # Errors
    /// [`ConfigError::Json`] names the key that is missing or mistyped, [`ConfigError::Field`] the one out of range.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        Self::from_value(serde_json::from_str(text))
    }

    /// [`VaeConfig::from_json`] on a parsed JSON value.
    pub(crate) fn from_value(value: Result<Value, serde_json::Error>) -> Result<Self, ConfigError> {
        ConfigError::parse::<Document>("AutoencoderKL", value)?.convert()
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError::Field`] with the field, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let widths = &self.block_out_channels;
        let sizes = [
            ("in_channels", self.in_channels, 1, 4096),
            ("out_channels", self.out_channels, 1, 4096),
            ("latent_channels", self.latent_channels, 1, 4096),
            ("layers_per_block", self.layers_per_block, 1, 64),
            ("norm_num_groups", self.norm_num_groups, 1, 4096),
        ];
        for (field, value, least, most) in sizes {
            require((least..=most).contains(&value), field, &value, || format!("{least} to {most}"))?;
        }
        let shown = format!("{widths:?}");
        require((1..=8).contains(&widths.len()), "block_out_channels", &shown, || "1 to 8 numbers".into())?;
        let groups = self.norm_num_groups;
        let divides = |width: &usize| (1..=65_536).contains(width) && width.is_multiple_of(groups);
        require(widths.iter().all(divides), "block_out_channels", &shown, || {
            format!("multiples of norm_num_groups {groups}")
        })?;
        let scaling = self.scaling_factor;
        require(scaling.is_finite() && scaling > 0.0, "scaling_factor", &scaling, || "more than 0".into())?;
        let shift = self.shift_factor;
        require(shift.is_finite(), "shift_factor", &shift, || "a finite number".into())
    }

    /// Image pixels per latent pixel along one side: 8 in the published models.
    pub fn factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    /// The model's name, such as `vae-4x128-256-512-512` (latent channels x channels of each resolution).
    pub fn name(&self) -> String {
        let widths: Vec<String> = self.block_out_channels.iter().map(ToString::to_string).collect();
        format!("vae-{}x{}", self.latent_channels, widths.join("-"))
    }
}

/// The `config.json` of diffusers.
#[derive(Serialize, Deserialize)]
struct Document {
    #[serde(rename = "_class_name", default)]
    class_name: ClassName,
    in_channels: usize,
    out_channels: usize,
    latent_channels: usize,
    block_out_channels: Vec<usize>,
    #[serde(default = "one")]
    layers_per_block: usize,
    #[serde(default = "thirty_two")]
    norm_num_groups: usize,
    #[serde(default = "stable_diffusion")]
    scaling_factor: f64,
    #[serde(default)]
    shift_factor: Option<f64>,
    #[serde(default = "yes")]
    use_quant_conv: bool,
    #[serde(default = "yes")]
    use_post_quant_conv: bool,
    #[serde(default = "yes")]
    mid_block_add_attention: bool,
    #[serde(default = "silu")]
    act_fn: String,
    #[serde(default)]
    down_block_types: Option<Vec<String>>,
    #[serde(default)]
    up_block_types: Option<Vec<String>>,
}

#[derive(Default, Serialize, Deserialize)]
enum ClassName {
    #[default]
    AutoencoderKL,
}

fn one() -> usize {
    1
}

fn thirty_two() -> usize {
    32
}

fn stable_diffusion() -> f64 {
    0.18215
}

fn yes() -> bool {
    true
}

fn silu() -> String {
    "silu".into()
}

const DOWN: &str = "DownEncoderBlock2D";
const UP: &str = "UpDecoderBlock2D";

impl Document {
    fn convert(self) -> Result<VaeConfig, ConfigError> {
        let ClassName::AutoencoderKL = self.class_name;
        require(self.act_fn == "silu", "act_fn", &self.act_fn, || "silu".into())?;
        let resolutions = self.block_out_channels.len();
        for (field, found, known) in
            [("down_block_types", &self.down_block_types, DOWN), ("up_block_types", &self.up_block_types, UP)]
        {
            let fits =
                |found: &Vec<String>| found.len() == resolutions && found.iter().all(|name| name == known);
            require(found.as_ref().is_none_or(fits), field, &format!("{found:?}"), || {
                format!("{known} for each of the {resolutions} block_out_channels")
            })?;
        }
        let config = VaeConfig {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            latent_channels: self.latent_channels,
            block_out_channels: self.block_out_channels,
            layers_per_block: self.layers_per_block,
            norm_num_groups: self.norm_num_groups,
            scaling_factor: self.scaling_factor,
            shift_factor: self.shift_factor.unwrap_or(0.0),
            use_quant_conv: self.use_quant_conv,
            use_post_quant_conv: self.use_post_quant_conv,
            mid_block_add_attention: self.mid_block_add_attention,
        };
        config.validate()?;
        Ok(config)
    }
}

impl TryFrom<Document> for VaeConfig {
    type Error = ConfigError;

    fn try_from(document: Document) -> Result<Self, ConfigError> {
        document.convert()
    }
}

impl From<VaeConfig> for Document {
    fn from(config: VaeConfig) -> Self {
        let types = |name: &str| Some(vec![name.to_owned(); config.block_out_channels.len()]);
        Self {
            class_name: ClassName::AutoencoderKL,
            down_block_types: types(DOWN),
            up_block_types: types(UP),
            in_channels: config.in_channels,
            out_channels: config.out_channels,
            latent_channels: config.latent_channels,
            block_out_channels: config.block_out_channels,
            layers_per_block: config.layers_per_block,
            norm_num_groups: config.norm_num_groups,
            scaling_factor: config.scaling_factor,
            shift_factor: Some(config.shift_factor),
            use_quant_conv: config.use_quant_conv,
            use_post_quant_conv: config.use_post_quant_conv,
            mid_block_add_attention: config.mid_block_add_attention,
            act_fn: silu(),
        }
    }
}
