//! Which model: one of the two inside the binary, or a path.

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use invardiff_models::{Architecture, AutoencoderKl, Dit, DitConfig, LoadOptions, LoadedDit};

use crate::{Critic, Dtype, Pretrained, SchedulerConfig, decode};

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

    /// The configuration.
    ///
    /// # Errors
    /// When it cannot be read, which a test rules out.
    pub(crate) fn dit_config(self) -> Result<DitConfig> {
        DitConfig::from_json(self.config()).context("embedded config.json")
    }

    /// The classifier of the model's pictures, where one was trained.
    ///
    /// # Errors
    /// When it cannot be read, which a test rules out.
    pub fn critic(self, device: &Device) -> Result<Option<Critic>> {
        match self {
            Self::Fashion => {
                let bytes = include_bytes!("../assets/fashion/classifier.safetensors");
                Critic::parse(bytes, "embedded classifier".into(), device).map(Some)
            }
            Self::Emoji => Ok(None),
        }
    }

    /// Loads the model in f32.
    ///
    /// # Errors
    /// When the weights do not fit the configuration, which a test rules out.
    pub fn load(self, device: &Device) -> Result<NamedDit> {
        self.load_as(Dtype::F32, device)
    }

    /// Loads the model in any type of the device.
    ///
    /// # Errors
    /// As [`Embedded::load`].
    pub fn load_as(self, dtype: Dtype, device: &Device) -> Result<NamedDit> {
        let config = self.dit_config()?;
        let loaded = Dit::from_bytes_as(self.weights(), &config, dtype.burn(), device);
        let loaded = loaded.context("embedded weights")?;
        Ok(NamedDit { name: self.name().to_owned(), loaded, autoencoder: None })
    }
}

/// A loaded DiT with the name that plans and reports use.
#[derive(Clone, Debug)]
pub struct NamedDit {
    /// `fashion`, `emoji`, or the published name of the size (`dit-xl-2-256`).
    pub name: String,
    /// The model and where its weights came from.
    pub loaded: LoadedDit,
    /// What makes pictures of its samples, where these are latents and it is there.
    pub autoencoder: Option<AutoencoderKl>,
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
        let named = || format!("--model {model}");
        Self::load(&Pretrained::open(model).with_context(named)?, Dtype::F32, device).with_context(named)
    }

    /// The DiT among the parts of a pipeline.
    ///
    /// # Errors
    /// When the parts are not those of a DiT, or it cannot be loaded.
    pub fn load(parts: &Pretrained, dtype: Dtype, device: &Device) -> Result<Self> {
        parts.expect(Architecture::Dit)?;
        let options = LoadOptions { dtype: dtype.burn(), loras: parts.loras.clone() };
        let loaded = Dit::load_with(&parts.transformer, &options, device)?;
        let predicts = loaded.dit.config().prediction_type;
        match parts.scheduler {
            None => {}
            Some(SchedulerConfig::Ddim(said)) => ensure!(
                said == predicts,
                "{}: scheduler_config.json says that the model predicts {said:?}, its configuration {predicts:?}",
                parts.name
            ),
            Some(SchedulerConfig::FlowMatchEuler(_)) => bail!(
                "{}: scheduler_config.json is one of flow-match Euler, which does not sample a DiT",
                parts.name
            ),
        }
        let config = loaded.dit.config();
        let path = parts.autoencoder.as_deref().filter(|_| config.pixel_range.is_none());
        let autoencoder = path.map(|path| decode::load(path, config.in_channels, device)).transpose()?;
        Ok(Self { name: config.name(), loaded, autoencoder })
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
