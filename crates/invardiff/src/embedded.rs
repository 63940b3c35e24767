//! The small trained models that are part of the library.

use burn::tensor::Device;
use invardiff_models::DitConfig;

use crate::error::{About, Result};
use crate::reference_classifier::ReferenceClassifier;

/// A small trained model that is part of the library, so that everything can be tried without a file or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedded {
    /// 28x28 grey images of clothes in 10 classes (Fashion-MNIST).
    Fashion,
    /// 32x32 colour emoji in 8 classes.
    Emoji,
}

impl Embedded {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fashion, Self::Emoji];

    /// The embedded model of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|embedded| embedded.name() == name)
    }

    /// The name, by which [`Embedded::named`] finds it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fashion => "fashion",
            Self::Emoji => "emoji",
        }
    }

    /// The weights, as safetensors.
    pub(crate) const fn weights(self) -> &'static [u8] {
        match self {
            Self::Fashion => include_bytes!("../assets/fashion/model.safetensors"),
            Self::Emoji => include_bytes!("../assets/emoji/model.safetensors"),
        }
    }

    const fn config(self) -> &'static str {
        match self {
            Self::Fashion => include_str!("../assets/fashion/config.json"),
            Self::Emoji => include_str!("../assets/emoji/config.json"),
        }
    }

    /// The configuration.
    ///
    /// # Errors
    /// When it cannot be read, which a test rules out.
    pub fn dit_config(self) -> Result<DitConfig> {
        DitConfig::from_json(self.config()).about("embedded config.json")
    }

    /// The classifier of the model's images, where one was trained.
    ///
    /// # Errors
    /// When it cannot be read, which a test rules out.
    pub fn reference_classifier(self, device: &Device) -> Result<Option<ReferenceClassifier>> {
        match self {
            Self::Fashion => {
                let bytes = include_bytes!("../assets/fashion/classifier.safetensors");
                ReferenceClassifier::parse(bytes, "embedded classifier".into(), device).map(Some)
            }
            Self::Emoji => Ok(None),
        }
    }
}
