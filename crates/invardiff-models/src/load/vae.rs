//! Loading a KL autoencoder.

mod names;

use std::path::Path;

use burn::tensor::{DType, Device};
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::infer::Shapes;
use super::{KeyLayout, LoadError, assembled, config, find};
use crate::{AutoencoderKl, VaeConfig};

/// Where weights are looked for in a folder, in this order.
const IN_FOLDER: [&str; 7] = [
    "diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "vae/diffusion_pytorch_model.bin",
    "model.safetensors",
    "ae.safetensors",
    "vae/ae.safetensors",
];

/// Where checkpoints of a whole pipeline in one file keep the autoencoder.
const SECTIONS: [&str; 1] = ["first_stage_model"];

impl AutoencoderKl {
    /// Loads a KL autoencoder in f32 from any public layout.
    ///
    /// `path` is a file of weights or a folder: diffusers' (perhaps with the names of its older attention), or one with
    /// the original `ae.safetensors` of FLUX.1; of a whole pipeline's folder it is that in `vae`. The configuration is
    /// the one beside the weights: a file of their name that ends in `.json`, or a `config.json` of an `AutoencoderKL`.
    /// Without one, weights of the published sizes are known by their shapes.
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
        let file = find(path.as_ref(), &IN_FOLDER)?;
        let beside = || match config::read(&file.with_extension("json"), Some, VaeConfig::from_value)? {
            Some(config) => Ok(Some(config)),
            None => {
                config::read(&file.with_file_name("config.json"), of_an_autoencoder, VaeConfig::from_value)
            }
        };
        autoencoder(Checkpoint::open(&file)?, beside, dtype, device)
    }

    /// Loads a KL autoencoder in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`AutoencoderKl::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &VaeConfig, device: &Device) -> Result<Self, LoadError> {
        autoencoder(Checkpoint::from_bytes(bytes)?, || Ok(Some(config.clone())), DType::F32, device)
    }
}

/// The document, unless it says that it is of another model.
fn of_an_autoencoder(value: Value) -> Option<Value> {
    let class = value.get("_class_name").and_then(Value::as_str);
    class.is_none_or(|class| class == "AutoencoderKL").then_some(value)
}

fn autoencoder(
    mut checkpoint: Checkpoint,
    config: impl FnOnce() -> Result<Option<VaeConfig>, LoadError>,
    dtype: DType,
    device: &Device,
) -> Result<AutoencoderKl, LoadError> {
    let Some((layout, section)) = KeyLayout::detect(&checkpoint, KeyLayout::vae_signature, &SECTIONS) else {
        let [original, diffusers] = [KeyLayout::Original, KeyLayout::Diffusers].map(KeyLayout::vae_signature);
        let detail = format!(
            "no KL autoencoder: it has neither '{original}' (original) nor '{diffusers}' (diffusers)"
        );
        return Err(LoadError::Format { file: checkpoint.file, detail });
    };
    if let Some(section) = section {
        checkpoint.enter(section);
    }
    let config = config()?.map_or_else(|| infer(&checkpoint), Ok)?;
    config.validate().map_err(|source| LoadError::Config { file: checkpoint.file.clone(), source })?;
    let source = |key: &str| layout.vae_source(key, &checkpoint, &config);
    assembled(&checkpoint, &source, &config, config.name(), dtype, device)
}

/// The published configuration that the weights are of, told by the decoder's first and last convolution.
fn infer(checkpoint: &Checkpoint) -> Result<VaeConfig, LoadError> {
    let shapes = Shapes { checkpoint };
    let [widest, latent, ..]: [usize; 4] = shapes.of("decoder.conv_in.weight")?;
    let [channels, narrowest, ..]: [usize; 4] = shapes.of("decoder.conv_out.weight")?;
    let published = [VaeConfig::flux(), VaeConfig::stable_diffusion()].into_iter().find(|config| {
        let widths = &config.block_out_channels;
        (config.latent_channels, config.out_channels) == (latent, channels)
            && (widths.first(), widths.last()) == (Some(&narrowest), Some(&widest))
    });
    published.ok_or_else(|| {
        shapes.refuse(&format!(
            "with {latent} latent channels and {widest} to {narrowest} channels it is no published autoencoder, so groups \
             of norms and scale of latents are unknown"
        ))
    })
}
