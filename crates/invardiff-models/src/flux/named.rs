//! The published FLUX models by name.

use super::config::FluxConfig;
use crate::ConfigError;

/// Whether each embeds a guidance scale, and the channels of a token that goes in.
const PUBLISHED: [(&str, bool, usize); 3] =
    [("flux1-dev", true, 64), ("flux1-schnell", false, 64), ("flux1-fill-dev", true, 384)];

impl FluxConfig {
    /// A published model: `flux1-dev`, `flux1-schnell` or `flux1-fill-dev`. Guidance embedding and input channels differ.
    ///
    /// # Errors
    /// [`ConfigError::Name`] lists the known names.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        let found = PUBLISHED.iter().find(|(known, ..)| *known == name);
        found
            .map(|(_, guidance, input)| Self { in_channels: *input, ..Self::published(*guidance) })
            .ok_or_else(|| ConfigError::Name {
                name: name.chars().take(80).collect(),
                known: Self::names().join(", "),
            })
    }

    /// The names that [`FluxConfig::named`] knows.
    pub fn names() -> Vec<String> {
        PUBLISHED.map(|(name, ..)| name.to_owned()).into()
    }

    /// The model's name: the published name if the sizes are published ones, otherwise one that spells the sizes, such as
    /// `flux-2+3x48` (double blocks + single blocks x width), with `-fill` for one that fills in.
    pub fn name(&self) -> String {
        let published = PUBLISHED
            .iter()
            .find(|(_, guidance, input)| *self == Self { in_channels: *input, ..Self::published(*guidance) });
        let fill = if self.fills() { "-fill" } else { "" };
        published.map_or_else(
            || format!("flux-{}+{}x{}{fill}", self.num_layers, self.num_single_layers, self.hidden_size()),
            |(name, ..)| (*name).to_owned(),
        )
    }

    /// The sizes of FLUX.1, with or without the guidance embedding.
    pub(crate) fn published(guidance_embeds: bool) -> Self {
        Self {
            in_channels: 64,
            out_channels: 64,
            num_layers: 19,
            num_single_layers: 38,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 4096,
            pooled_projection_dim: 768,
            guidance_embeds,
            axes_dims_rope: [16, 56, 56],
        }
    }
}
