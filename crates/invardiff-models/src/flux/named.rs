//! The published FLUX models by name.

use super::config::FluxConfig;
use crate::ConfigError;

const PUBLISHED: [(&str, bool); 2] = [("flux1-dev", true), ("flux1-schnell", false)];

impl FluxConfig {
    /// A published model: `flux1-dev` or `flux1-schnell`. Only the guidance embedding differs.
    ///
    /// # Errors
    /// [`ConfigError::Name`] lists the known names.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        let found = PUBLISHED.iter().find(|(known, _)| *known == name);
        found.map(|(_, guidance)| Self::published(*guidance)).ok_or_else(|| ConfigError::Name {
            name: name.chars().take(80).collect(),
            known: Self::names().join(", "),
        })
    }

    /// The names that [`FluxConfig::named`] knows.
    pub fn names() -> Vec<String> {
        PUBLISHED.map(|(name, _)| name.to_owned()).into()
    }

    /// The model's name: the published name if the sizes are published ones, otherwise one that spells the sizes, such as
    /// `flux-2+3x48` (double blocks + single blocks x width).
    pub fn name(&self) -> String {
        let published = PUBLISHED.iter().find(|(_, guidance)| *self == Self::published(*guidance));
        published.map_or_else(
            || format!("flux-{}+{}x{}", self.num_layers, self.num_single_layers, self.hidden_size()),
            |(name, _)| (*name).to_owned(),
        )
    }

    /// The sizes of FLUX.1, with or without the guidance embedding.
    pub(crate) fn published(guidance_embeds: bool) -> Self {
        Self {
            in_channels: 64,
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
