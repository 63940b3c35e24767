//! Loading a FLUX transformer.

pub(super) mod infer;
mod names;

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};

use super::checkpoint::Checkpoint;
use super::lora::{Merged, merged_sha256};
use super::weights::Reader;
use super::{DIT_SECTIONS, KeyLayout, LoadError, LoadOptions, config, find, open_loras, survey};
use crate::{Flux, FluxConfig};

/// A model with what is known of its weights.
#[derive(Clone, Debug)]
pub struct LoadedFlux {
    /// The model, for pictures of the default canvas.
    pub flux: Flux,
    /// The weights' file, or the index of their shards, as it was opened; `None` for weights in memory.
    pub file: Option<PathBuf>,
    /// SHA-256 of the whole file, hexadecimal; of shards, that of the lines `<SHA-256 of the shard>  <its name>`; with LoRA
    /// files added, that of the lines `<SHA-256 of the weights>`, `<SHA-256 of a LoRA file> <its strength>`.
    pub sha256: String,
    /// The naming of the weights.
    pub layout: KeyLayout,
    /// The section of a larger checkpoint that was read, e.g. `model.diffusion_model`.
    pub section: Option<&'static str>,
}

/// Where weights are looked for in a folder, in this order.
pub(super) const IN_FOLDER: [&str; 7] = [
    "model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "transformer/diffusion_pytorch_model.safetensors.index.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "flux1-dev.safetensors",
    "flux1-schnell.safetensors",
];

/// Where checkpoints of a whole pipeline in one file keep the transformer.
pub(super) const SECTIONS: [&str; 1] = ["model.diffusion_model"];

impl Flux {
    /// Loads a FLUX transformer in f32 from any public layout.
    ///
    /// `path` is a file of weights (the original `flux1-dev.safetensors`), an index of shards
    /// (`.safetensors.index.json`), or a folder: this project's (`config.json`, `model.safetensors`), diffusers' (in one
    /// file or sharded, perhaps in `transformer/`), or one with the original file. The configuration is the one beside the
    /// weights; without one it is read off the shapes.
    ///
    /// Files are read one tensor at a time, so beside the model there is never more than one tensor in memory.
    ///
    /// # Errors
    /// [`LoadError`] names the file. Missing, unused and misshapen keys are one [`LoadError::Keys`] that lists them all;
    /// a truncated or foreign file, or an index that does not agree with its shards, is a [`LoadError::Format`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<LoadedFlux, LoadError> {
        Self::load_as(path, DType::F32, device)
    }

    /// [`Flux::load`] with the weights cast to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`Flux::load`].
    pub fn load_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<LoadedFlux, LoadError> {
        Self::load_with(path, &LoadOptions { dtype, ..LoadOptions::default() }, device)
    }

    /// [`Flux::load`] with the weights cast and changed as `options` say. LoRA files may name maps in either layout, whichever
    /// the weights have.
    ///
    /// # Errors
    /// As [`Flux::load`]; a LoRA file that does not fit the model is a [`LoadError::Keys`] that names this file.
    pub fn load_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        device: &Device,
    ) -> Result<LoadedFlux, LoadError> {
        let file = find(path.as_ref(), &IN_FOLDER)?;
        let beside = || config::beside(file.parent().unwrap_or(Path::new("")), config::flux);
        let loaded = assemble(Checkpoint::open(&file)?, beside, options, device)?;
        Ok(LoadedFlux { file: Some(file), ..loaded })
    }

    /// Loads a FLUX transformer in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`Flux::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &FluxConfig, device: &Device) -> Result<LoadedFlux, LoadError> {
        assemble(Checkpoint::from_bytes(bytes)?, || Ok(Some(config.clone())), &LoadOptions::default(), device)
    }
}

/// Checks every key, then reads: a model is built from a file that fits, or not at all.
fn assemble(
    mut checkpoint: Checkpoint,
    config: impl FnOnce() -> Result<Option<FluxConfig>, LoadError>,
    options: &LoadOptions,
    device: &Device,
) -> Result<LoadedFlux, LoadError> {
    let file = checkpoint.file.clone();
    let Some((layout, section)) = KeyLayout::detect(&checkpoint, KeyLayout::flux_signature, &SECTIONS) else {
        return Err(LoadError::Format { file, detail: no_flux(&checkpoint) });
    };
    if let Some(section) = section {
        checkpoint.enter(section);
    }
    let config = config()?.map_or_else(|| infer::infer(&checkpoint, layout), Ok)?;
    config.validate().map_err(|source| LoadError::Config { file, source })?;
    let layouts = |layout: KeyLayout, key: &str| layout.flux_source(key, &config);
    let source = |key: &str| layouts(layout, key);
    survey(&checkpoint, &source, config.name(), device, |weights| {
        Flux::build(&config, weights, device).map(drop)
    })?;
    let loras = open_loras(options, &layouts, config.name(), device, |targets| {
        Flux::build(&config, targets, device).map(drop)
    })?;
    let dtype = options.dtype;
    let reader = Reader { checkpoint: &checkpoint, source: &source, dtype, device };
    let mut merged = Merged { reader, loras: &loras, layouts: &layouts };
    let flux = Flux::build(&config, &mut merged, device)?;
    let sha256 = merged_sha256(checkpoint.sha256()?, &loras)?;
    Ok(LoadedFlux { flux, file: None, sha256, layout, section })
}

/// Why a file without FLUX's keys is refused.
pub(super) fn no_flux(checkpoint: &Checkpoint) -> String {
    let is_dit = KeyLayout::detect(checkpoint, KeyLayout::dit_signature, &DIT_SECTIONS).is_some();
    let [original, diffusers] = [KeyLayout::Original, KeyLayout::Diffusers].map(KeyLayout::flux_signature);
    let lacks = format!("it has neither '{original}' (original) nor '{diffusers}' (diffusers)");
    if is_dit {
        format!("no FLUX: these are the weights of a DiT; {lacks}")
    } else {
        format!("no FLUX: {lacks}")
    }
}
