//! Which model: one of the two inside the binary, or a path.

use anyhow::{Context, Result};
use burn::tensor::Device;
use invardiff_models::{Dit, DitConfig, LoadedDit};

use crate::locate::locate;

/// A small trained model that is part of the binary, so that everything can be tried without a file or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedded {
    /// 28x28 grey pictures of clothes in 10 classes (Fashion-MNIST).
    Fashion,
    /// 32x32 colour emoji in 8 classes.
    Emoji,
}

impl Embedded {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fashion, Self::Emoji];

    /// The name that `--model` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fashion => "fashion",
            Self::Emoji => "emoji",
        }
    }

    const fn weights(self) -> &'static [u8] {
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

    /// Loads the model.
    ///
    /// # Errors
    /// When the weights do not fit the configuration, which a test rules out.
    pub fn load(self, device: &Device) -> Result<NamedDit> {
        let config = DitConfig::from_json(self.config()).context("embedded config.json")?;
        let loaded = Dit::from_bytes(self.weights(), &config, device).context("embedded weights")?;
        Ok(NamedDit { name: self.name().to_owned(), loaded })
    }
}

/// A loaded DiT with the name that plans and reports use.
#[derive(Clone, Debug)]
pub struct NamedDit {
    /// `fashion`, `emoji`, or the published name of the size (`dit-xl-2-256`).
    pub name: String,
    /// The model and where its weights came from.
    pub loaded: LoadedDit,
}

impl NamedDit {
    /// The embedded model of this name, or the weights at a path or in a repository of a hub (see [`Hub`](crate::Hub)).
    ///
    /// # Errors
    /// When there is no such file, it cannot be fetched, or it is no DiT.
    pub fn open(model: &str, device: &Device) -> Result<Self> {
        if let Some(embedded) = Embedded::ALL.into_iter().find(|embedded| embedded.name() == model) {
            return embedded.load(device);
        }
        let embedded = format!("; the embedded models are {}", Embedded::ALL.map(Embedded::name).join(", "));
        let path = locate(model, &embedded).with_context(|| format!("--model {model}"))?;
        let loaded = Dit::load(path, device).with_context(|| format!("--model {model}"))?;
        Ok(Self { name: loaded.dit.config().name(), loaded })
    }

    /// The configuration.
    pub fn config(&self) -> &DitConfig {
        self.loaded.dit.config()
    }

    /// The name of a class, or its number where the model names none.
    pub fn class_name(&self, label: usize) -> String {
        self.config().class_names.get(label).cloned().unwrap_or_else(|| label.to_string())
    }
}
