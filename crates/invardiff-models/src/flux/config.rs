//! The sizes of a FLUX transformer.

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, require};

/// Hidden width of the feed-forward, as a multiple of the token width; the same in every FLUX.
pub(crate) const MLP_RATIO: usize = 4;

/// The sizes of a FLUX transformer (Black Forest Labs 2024): double-stream blocks, in which prompt and image have their own
/// weights and attend jointly, then single-stream blocks over both.
///
/// Reads and writes the `config.json` of diffusers' `FluxTransformer2DModel`; absent fields have diffusers' defaults (the
/// sizes of FLUX.1-schnell), unknown keys are ignored.
///
/// ```
/// use invardiff_models::{Canvas, FluxConfig};
///
/// let config = FluxConfig::named("flux1-dev")?;
/// assert_eq!((config.num_layers, config.num_single_layers, config.hidden_size()), (19, 38, 3072));
/// let canvas = Canvas::from_pixels(768, 1360, 512)?;
/// assert_eq!(config.topology(canvas).model, "flux1-dev-768x1360-projected");
/// # Ok::<(), invardiff_models::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Document", try_from = "Document")]
pub struct FluxConfig {
    /// Channels of a token that goes in: as many as come out, or, in models that fill in (FLUX.1-Fill), these twice and
    /// [`FluxConfig::MASK_CHANNELS`], 384.
    pub in_channels: usize,
    /// Channels of a packed latent token, which come out (2 x 2 latent pixels of 16 channels: 64).
    pub out_channels: usize,
    /// Double-stream blocks.
    pub num_layers: usize,
    /// Single-stream blocks.
    pub num_single_layers: usize,
    /// Channels of one attention head.
    pub attention_head_dim: usize,
    /// Attention heads per block.
    pub num_attention_heads: usize,
    /// Channels of a prompt token embedding (T5).
    pub joint_attention_dim: usize,
    /// Channels of the pooled prompt embedding (CLIP).
    pub pooled_projection_dim: usize,
    /// Whether the model embeds the guidance scale: dev does, schnell does not.
    pub guidance_embeds: bool,
    /// Channels of a head that are rotated by each axis of a position: index, row, column.
    pub axes_dims_rope: [usize; 3],
}

impl FluxConfig {
    /// Channels of a token's part of a mask: the 16 x 16 pixels that the token stands for.
    pub const MASK_CHANNELS: usize = 256;

    /// Whether the model fills in what a mask leaves open: its tokens have the channels of the noise, of the masked image and of
    /// the mask.
    pub fn fills(&self) -> bool {
        self.in_channels != self.out_channels
    }

    /// Parses and checks a configuration in JSON.
    ///
    /// # Errors
    /// [`ConfigError::Json`] names what is mistyped, [`ConfigError::Field`] the field out of range.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        serde_json::from_str::<Document>(text).map_err(ConfigError::no_flux)?.convert()
    }

    /// [`FluxConfig::from_json`] on a parsed JSON value.
    pub(crate) fn from_value(value: serde_json::Value) -> Result<Self, ConfigError> {
        serde_json::from_value::<Document>(value).map_err(ConfigError::no_flux)?.convert()
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`ConfigError::Field`] with the field, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("in_channels", self.in_channels, 1, 4096),
            ("out_channels", self.out_channels, 1, 4096),
            ("num_layers", self.num_layers, 0, 1024),
            ("num_single_layers", self.num_single_layers, 0, 1024),
            ("attention_head_dim", self.attention_head_dim, 2, 1024),
            ("num_attention_heads", self.num_attention_heads, 1, 1024),
            ("joint_attention_dim", self.joint_attention_dim, 1, 65_536),
            ("pooled_projection_dim", self.pooled_projection_dim, 1, 65_536),
        ];
        for (field, value, least, most) in sizes {
            require((least..=most).contains(&value), field, &value, || format!("{least} to {most}"))?;
        }
        let (input, output) = (self.in_channels, self.out_channels);
        let expected = || {
            let fill = 2 * output + Self::MASK_CHANNELS;
            let known = format!("out_channels {output}, or {fill} for a model that fills in (FLUX.1-Fill)");
            if input == 2 * output {
                format!("{known}: FLUX.1-Canny and FLUX.1-Depth (control) are not supported")
            } else {
                known
            }
        };
        require(
            input == output || input == 2 * output + Self::MASK_CHANNELS,
            "in_channels",
            &input,
            expected,
        )?;
        require(self.num_layers + self.num_single_layers > 0, "num_single_layers", &0, || {
            "at least one block of either kind".into()
        })?;
        let (axes, head) = (self.axes_dims_rope, self.attention_head_dim);
        let sum = axes.iter().fold(0usize, |sum, channels| sum.saturating_add(*channels));
        let fits = sum == head && axes.iter().all(|channels| channels.is_multiple_of(2));
        require(fits, "axes_dims_rope", &format!("{axes:?}"), || {
            format!("three even numbers that add up to attention_head_dim {head}")
        })
    }

    /// Channels of a token in the blocks.
    pub fn hidden_size(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Hidden width of the feed-forward.
    pub fn mlp_hidden(&self) -> usize {
        MLP_RATIO * self.hidden_size()
    }
}

/// The `config.json` of diffusers.
#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Document {
    #[serde(rename = "_class_name")]
    class_name: ClassName,
    patch_size: usize,
    in_channels: usize,
    out_channels: Option<usize>,
    num_layers: usize,
    num_single_layers: usize,
    attention_head_dim: usize,
    num_attention_heads: usize,
    joint_attention_dim: usize,
    pooled_projection_dim: usize,
    guidance_embeds: bool,
    axes_dims_rope: [usize; 3],
}

#[derive(Default, Serialize, Deserialize)]
enum ClassName {
    #[default]
    FluxTransformer2DModel,
}

impl Default for Document {
    fn default() -> Self {
        FluxConfig::published(false).into()
    }
}

impl Document {
    fn convert(self) -> Result<FluxConfig, ConfigError> {
        let ClassName::FluxTransformer2DModel = self.class_name;
        require(self.patch_size == 1, "patch_size", &self.patch_size, || "1".into())?;
        let config = FluxConfig {
            in_channels: self.in_channels,
            out_channels: self.out_channels.unwrap_or(self.in_channels),
            num_layers: self.num_layers,
            num_single_layers: self.num_single_layers,
            attention_head_dim: self.attention_head_dim,
            num_attention_heads: self.num_attention_heads,
            joint_attention_dim: self.joint_attention_dim,
            pooled_projection_dim: self.pooled_projection_dim,
            guidance_embeds: self.guidance_embeds,
            axes_dims_rope: self.axes_dims_rope,
        };
        config.validate()?;
        Ok(config)
    }
}

impl TryFrom<Document> for FluxConfig {
    type Error = ConfigError;

    fn try_from(document: Document) -> Result<Self, ConfigError> {
        document.convert()
    }
}

impl From<FluxConfig> for Document {
    fn from(config: FluxConfig) -> Self {
        Self {
            class_name: ClassName::FluxTransformer2DModel,
            patch_size: 1,
            in_channels: config.in_channels,
            out_channels: config.fills().then_some(config.out_channels),
            num_layers: config.num_layers,
            num_single_layers: config.num_single_layers,
            attention_head_dim: config.attention_head_dim,
            num_attention_heads: config.num_attention_heads,
            joint_attention_dim: config.joint_attention_dim,
            pooled_projection_dim: config.pooled_projection_dim,
            guidance_embeds: config.guidance_embeds,
            axes_dims_rope: config.axes_dims_rope,
        }
    }
}
