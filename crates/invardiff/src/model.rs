//! A DiT with its name: embedded, or from a path or a hub.

use burn::tensor::Device;
use invardiff_models::{Architecture, AutoencoderKl, Dit, DitConfig, LoadOptions, Loaded};

use crate::decode;
use crate::dtype::Dtype;
#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::error::{About, Error, Result};
use crate::pretrained::{Pretrained, SchedulerConfig};

/// A loaded DiT with the name that plans and reports use.
#[derive(Clone, Debug)]
pub struct NamedDit {
    /// `fashion`, `emoji`, or the published name of the size (`dit-xl-2-256`).
    pub name: String,
    /// The model and where its weights came from.
    pub loaded: Loaded<Dit>,
    /// What makes images of its samples, where these are latents and it is there.
    pub autoencoder: Option<AutoencoderKl>,
}

impl NamedDit {
    /// The embedded model of this name, or the weights at a path or in a repository of a hub (with the cargo feature `hub`).
    ///
    /// # Errors
    /// When there is no such file, it cannot be fetched, or it is no DiT.
    pub fn open(model: &str, device: &Device) -> Result<Self> {
        #[cfg(feature = "embedded")]
        if let Some(embedded) = Embedded::named(model) {
            return embedded.load(device);
        }
        let load = || Self::load(&Pretrained::open(model)?, Dtype::F32, device);
        load().about(format_args!("the model {model}"))
    }

    /// The DiT among the parts of a pipeline.
    ///
    /// # Errors
    /// When the parts are not those of a DiT, or it cannot be loaded.
    pub fn load(parts: &Pretrained, dtype: Dtype, device: &Device) -> Result<Self> {
        parts.expect(Architecture::Dit)?;
        let mut options = LoadOptions::default().with_dtype(dtype.burn()).with_loras(parts.loras.clone());
        options.section.clone_from(&parts.section);
        let mut loaded = Dit::load_with(&parts.transformer, &options, device)?;
        if loaded.model.config().class_names.is_empty() && !parts.class_names.is_empty() {
            let names = class_names(parts, loaded.model.config().num_classes)?;
            loaded.model = loaded.model.with_class_names(names)?;
        }
        let predicts = loaded.model.config().prediction_type;
        match parts.scheduler {
            None => {}
            Some(SchedulerConfig::Ddim(said)) if said == predicts => {}
            Some(SchedulerConfig::Other { class, predicts: said }) if said == predicts => {
                loaded.notes.push(format!(
                    "{}: the folder's scheduler is a {class}, whose steps are not followed; the sampler of this run is used",
                    parts.name
                ));
            }
            Some(SchedulerConfig::Ddim(said) | SchedulerConfig::Other { predicts: said, .. }) => {
                return Err(Error::Model(format!(
                    "{}: scheduler_config.json says that the model predicts {said:?}, its configuration {predicts:?}",
                    parts.name
                )));
            }
            Some(SchedulerConfig::FlowMatchEuler(_)) => {
                return Err(Error::Model(format!(
                    "{}: scheduler_config.json is one of flow-match Euler, which does not sample a DiT",
                    parts.name
                )));
            }
        }
        let config = loaded.model.config();
        let path = parts.autoencoder.as_deref().filter(|_| config.pixel_range.is_none());
        let autoencoder = path.map(|path| decode::load(path, config.in_channels, device)).transpose()?;
        Ok(Self { name: config.name(), loaded, autoencoder })
    }

    /// The configuration.
    pub fn config(&self) -> &DitConfig {
        self.loaded.model.config()
    }

    /// The name of a class, or its number where the model names none.
    pub fn class_name(&self, label: usize) -> String {
        self.config().class_names.get(label).cloned().unwrap_or_else(|| label.to_string())
    }
}

/// A name for each class: those of the folder, and the number of a class that has none there.
fn class_names(parts: &Pretrained, num_classes: usize) -> Result<Vec<String>> {
    if let Some((label, name)) = parts.class_names.range(num_classes..).next() {
        return Err(Error::Model(format!(
            "{}: model_index.json: id2label names class {label} '{name}', and the model has classes 0 to {}",
            parts.name,
            num_classes - 1
        )));
    }
    let name = |label: usize| parts.class_names.get(&label).cloned().unwrap_or_else(|| label.to_string());
    Ok((0..num_classes).map(name).collect())
}

#[cfg(feature = "embedded")]
impl Embedded {
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
        let loaded = loaded.about("embedded weights")?;
        Ok(NamedDit { name: self.name().to_owned(), loaded, autoencoder: None })
    }
}
