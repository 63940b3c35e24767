//! The published DiT sizes by name.

use super::config::DitConfig;
use crate::ConfigError;

/// A size class: (letter, depth, hidden size, heads), table 1 of the DiT paper.
const CLASSES: [(&str, usize, usize, usize); 4] =
    [("s", 12, 384, 6), ("b", 12, 768, 12), ("l", 24, 1024, 16), ("xl", 28, 1152, 16)];
const PATCHES: [usize; 3] = [2, 4, 8];
/// Image sizes in pixels, with the size of their latents (the autoencoder divides by 8).
const IMAGES: [(usize, usize); 2] = [(256, 32), (512, 64)];

impl DitConfig {
    /// A published size, `dit-{s,b,l,xl}-{2,4,8}-{256,512}`: class, patch size, image size in pixels. All have four
    /// latent channels, 1000 classes and learned sigma.
    ///
    /// # Errors
    /// [`ConfigError::Name`] lists the known names.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        published().find(|(known, _)| known == name).map(|(_, config)| config).ok_or_else(|| {
            ConfigError::Name { name: name.chars().take(80).collect(), known: Self::names().join(", ") }
        })
    }

    /// The names that [`DitConfig::named`] knows.
    pub fn names() -> Vec<String> {
        published().map(|(name, _)| name).collect()
    }

    /// The model's name: the published name if the sizes are published ones, otherwise one that spells the sizes, such as
    /// `dit-8x128-p4-28x28x1` (depth x width, patch size, sample).
    pub fn name(&self) -> String {
        let published = published().find(|(_, config)| {
            (config.input_size, config.patch_size, config.in_channels)
                == (self.input_size, self.patch_size, self.in_channels)
                && (config.hidden_size, config.depth, config.num_heads, config.num_classes)
                    == (self.hidden_size, self.depth, self.num_heads, self.num_classes)
                && config.learn_sigma == self.learn_sigma
                && config.mlp_hidden() == self.mlp_hidden()
        });
        published.map_or_else(
            || {
                let (size, channels) = (self.input_size, self.in_channels);
                format!(
                    "dit-{}x{}-p{}-{size}x{size}x{channels}",
                    self.depth, self.hidden_size, self.patch_size
                )
            },
            |(name, _)| name,
        )
    }
}

/// The number of heads of the published size with this width.
pub(crate) fn heads_of_width(hidden_size: usize) -> Option<usize> {
    CLASSES.iter().find(|(_, _, width, _)| *width == hidden_size).map(|(.., heads)| *heads)
}

fn published() -> impl Iterator<Item = (String, DitConfig)> {
    IMAGES.iter().flat_map(|(pixels, latent)| {
        CLASSES.iter().flat_map(move |(class, depth, width, heads)| {
            PATCHES.iter().map(move |patch| {
                let name = format!("dit-{class}-{patch}-{pixels}");
                let config = DitConfig {
                    input_size: *latent,
                    patch_size: *patch,
                    hidden_size: *width,
                    depth: *depth,
                    num_heads: *heads,
                    ..DitConfig::default()
                };
                (name, config)
            })
        })
    })
}
