//! Loading a KL autoencoder.

use std::path::Path;

use burn::tensor::{DType, Device};
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::config;
use super::error::LoadError;
use super::family::Family;
use super::infer;
use super::layout::KeyLayout;
use super::lora::Owner;
use super::names;
use super::open;
use super::options::LoadOptions;
use super::places::Places;
use super::source::Source;
use crate::{AutoencoderKl, VaeConfig};

impl Family for AutoencoderKl {
    const NAME: &'static str = "KL autoencoder";

    const PLACES: Places = Places {
        folder: "vae",
        stems: &["diffusion_pytorch_model", "model", "ae"],
        others: &["flux", "DiT", "clip", "t5", "lora", "pytorch_lora"],
    };

    const SIGNATURES: &'static [(KeyLayout, &'static str)] = &names::vae::SIGNATURES;

    const OWNER: Option<Owner> = None;

    fn beside(file: &Path) -> Result<Option<VaeConfig>, LoadError> {
        match config::read(&file.with_extension("json"), Some, VaeConfig::from_value)? {
            Some(config) => Ok(Some(config)),
            None => {
                config::read(&file.with_file_name("config.json"), of_an_autoencoder, VaeConfig::from_value)
            }
        }
    }

    fn infer(checkpoint: &Checkpoint, _: KeyLayout) -> Result<VaeConfig, LoadError> {
        infer::vae::infer(checkpoint)
    }

    fn source(layout: KeyLayout, key: &str, config: &VaeConfig, checkpoint: &Checkpoint) -> Source {
        names::vae::source(layout, key, config, checkpoint)
    }

    fn is_other(key: &str) -> bool {
        names::vae::is_other(key)
    }
}

/// The document, unless it says that it belongs to another model.
fn of_an_autoencoder(value: Value) -> Option<Value> {
    let class = value.get("_class_name").and_then(Value::as_str);
    class.is_none_or(|class| class == "AutoencoderKL").then_some(value)
}

impl AutoencoderKl {
    /// Loads a KL autoencoder in f32 from any published layout.
    ///
    /// `path` is a file of weights or a folder: diffusers' (perhaps with the names of its older attention), or one with
    /// the original `ae.safetensors` of FLUX.1; of a whole pipeline's folder, the autoencoder in `vae`. The configuration is
    /// the one beside the weights: a file of their name that ends in `.json`, or a `config.json` of an `AutoencoderKL`.
    /// Without one, weights of the published sizes are recognised by their shapes.
    ///
    /// # Errors
    /// [`LoadError`] names the file. Missing, unused and misshapen keys are one [`LoadError::Keys`] that lists them all.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, LoadError> {
        Self::load_as(path, DType::F32, device)
    }

    /// [`AutoencoderKl::load`] with the weights cast to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`AutoencoderKl::load`].
    pub fn load_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self, LoadError> {
        let options = LoadOptions::default().with_dtype(dtype);
        Ok(open::load(path.as_ref(), &options, device)?.model)
    }

    /// Loads a KL autoencoder in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`AutoencoderKl::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &VaeConfig, device: &Device) -> Result<Self, LoadError> {
        Ok(open::from_bytes(bytes, config, &LoadOptions::default(), device)?.model)
    }
}
