//! Loading public weights: strict, whole or not at all.

mod checkpoint;
mod config;
mod error;
mod flux;
mod infer;
mod layout;
mod lora;
mod outline;
mod safe;
mod shards;
mod tensors;
mod text;
mod vae;
mod weights;

pub use error::{FoundTensor, KeyProblems, LoadError, Misshapen};
pub use flux::LoadedFlux;
pub use layout::KeyLayout;
pub use lora::{LoadOptions, Lora};
pub use outline::{Architecture, Outline};
pub use tensors::read_tensors;

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use checkpoint::Checkpoint;
use layout::{DIT_SECTIONS, Source};
use lora::{Merged, Opened, Targets, merged_sha256};
use weights::{Reader, Survey};

use crate::build::Build;
use crate::{Dit, DitConfig, Numerics};

/// A model with what is known of its weights.
#[derive(Clone, Debug)]
pub struct LoadedDit {
    /// The model.
    pub dit: Dit,
    /// The weights' file as it was opened; `None` for weights in memory.
    pub file: Option<PathBuf>,
    /// SHA-256 of the whole file, hexadecimal; with LoRA files added, that of the lines `<SHA-256 of the weights>`,
    /// `<SHA-256 of a LoRA file> <its strength>`.
    pub sha256: String,
    /// The naming of the weights.
    pub layout: KeyLayout,
    /// The section of a training checkpoint that was read, e.g. `ema`.
    pub section: Option<&'static str>,
}

/// Where weights are looked for in a folder, in this order.
const IN_FOLDER: [&str; 9] = [
    "model.safetensors",
    "weights.safetensors",
    "diffusion_pytorch_model.safetensors",
    "transformer/diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "transformer/diffusion_pytorch_model.bin",
    "model.pt",
    "weights.pt",
    "model.pth",
];

impl Dit {
    /// Loads a DiT in f32 from any public layout.
    ///
    /// `path` is a file of weights (`.safetensors`; `.pt`, plain or with the weights under `ema`, `model`, ..) or a folder:
    /// this project's (`config.json`, `model.safetensors`), diffusers' (`config.json`,
    /// `diffusion_pytorch_model.safetensors`, both perhaps in `transformer/`), or a fixture's (`manifest.json`,
    /// `weights.safetensors`). The configuration is the one beside the weights; without one it is read off the shapes.
    ///
    /// # Errors
    /// [`LoadError`] names the file. Missing, unused and misshapen keys are one [`LoadError::Keys`] that lists them all;
    /// a truncated or foreign file is a [`LoadError::Format`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<LoadedDit, LoadError> {
        Self::load_as(path, DType::F32, device)
    }

    /// [`Dit::load`] with the weights cast to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`Dit::load`].
    pub fn load_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<LoadedDit, LoadError> {
        Self::load_with(path, &LoadOptions { dtype, ..LoadOptions::default() }, device)
    }

    /// [`Dit::load`] with the weights cast and changed as `options` say.
    ///
    /// # Errors
    /// As [`Dit::load`]; a LoRA file that does not fit the model is a [`LoadError::Keys`] that names this file.
    pub fn load_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        device: &Device,
    ) -> Result<LoadedDit, LoadError> {
        let file = find(path.as_ref(), &IN_FOLDER)?;
        let config = config::beside(file.parent().unwrap_or(Path::new("")), config::dit)?;
        let loaded = assemble(Checkpoint::open(&file)?, config, options, device)?;
        Ok(LoadedDit { file: Some(file), ..loaded })
    }

    /// Loads a DiT in f32 from a safetensors file in memory, such as one embedded with `include_bytes!`. With diffusers'
    /// names and no [`DitConfig::numerics`], the numbers follow diffusers.
    ///
    /// # Errors
    /// As [`Dit::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &DitConfig, device: &Device) -> Result<LoadedDit, LoadError> {
        Self::from_bytes_as(bytes, config, DType::F32, device)
    }

    /// [`Dit::from_bytes`] with the weights cast to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`Dit::from_bytes`].
    pub fn from_bytes_as(
        bytes: &[u8],
        config: &DitConfig,
        dtype: DType,
        device: &Device,
    ) -> Result<LoadedDit, LoadError> {
        let options = LoadOptions { dtype, ..LoadOptions::default() };
        assemble(Checkpoint::from_bytes(bytes)?, Some(config.clone()), &options, device)
    }
}

/// The weights' file: `path` itself, or the first of `names` in it.
fn find(path: &Path, names: &[&str]) -> Result<PathBuf, LoadError> {
    let refuse = |detail| LoadError::NotFound { path: path.display().to_string(), detail };
    if path.is_dir() {
        let found = names.iter().map(|name| path.join(name)).find(|file| file.is_file());
        return found.ok_or_else(|| refuse(format!("the folder has none of {}", names.join(", "))));
    }
    if path.is_file() { Ok(path.to_owned()) } else { Err(refuse("there is no such file or folder".into())) }
}

/// Checks every key, then reads: a model is built from a file that fits, or not at all.
fn assemble(
    mut checkpoint: Checkpoint,
    config: Option<DitConfig>,
    options: &LoadOptions,
    device: &Device,
) -> Result<LoadedDit, LoadError> {
    let file = checkpoint.file.clone();
    let detected = KeyLayout::detect(&checkpoint, KeyLayout::dit_signature, &DIT_SECTIONS);
    let Some((layout, section)) = detected else {
        return Err(LoadError::Format { file, detail: no_dit(&checkpoint) });
    };
    if let Some(section) = section {
        checkpoint.enter(section);
    }
    let mut config = config.map_or_else(|| infer::infer(&checkpoint, layout), Ok)?;
    config.validate().map_err(|source| LoadError::Config { file: file.clone(), source })?;
    config.numerics.get_or_insert(match layout {
        KeyLayout::Original => Numerics::Original,
        KeyLayout::Diffusers => Numerics::Diffusers,
    });
    let layouts = |layout: KeyLayout, key: &str| layout.dit_source(key, &config);
    let source = |key: &str| layouts(layout, key);
    survey(&checkpoint, &source, config.name(), device, |weights| {
        Dit::build(&config, weights, device).map(drop)
    })?;
    let loras = open_loras(options, &layouts, config.name(), device, |targets| {
        Dit::build(&config, targets, device).map(drop)
    })?;
    let dtype = options.dtype;
    let reader = Reader { checkpoint: &checkpoint, source: &source, dtype, device };
    let mut merged = Merged { reader, loras: &loras, layouts: &layouts };
    let dit = Dit::build(&config, &mut merged, device)?;
    let sha256 = merged_sha256(checkpoint.sha256()?, &loras)?;
    Ok(LoadedDit { dit, file: None, sha256, layout, section })
}

/// Checks every key, then reads: a model of a valid configuration from a file that fits, or none at all. `name` is the
/// model's, for errors.
fn assembled<M: Build>(
    checkpoint: &Checkpoint,
    source: &dyn Fn(&str) -> Source,
    config: &M::Config,
    name: String,
    dtype: DType,
    device: &Device,
) -> Result<M, LoadError> {
    survey(checkpoint, source, name, device, |weights| {
        M::build(config, weights, DType::F32, device).map(drop)
    })?;
    M::build(config, &mut Reader { checkpoint, source, dtype, device }, dtype, device)
}

/// Why a file without a DiT's keys is refused.
fn no_dit(checkpoint: &Checkpoint) -> String {
    let is_flux = KeyLayout::detect(checkpoint, KeyLayout::flux_signature, &flux::SECTIONS).is_some();
    let [original, diffusers] = [KeyLayout::Original, KeyLayout::Diffusers].map(KeyLayout::dit_signature);
    let lacks = format!("it has neither '{original}' (original) nor '{diffusers}' (diffusers)");
    if is_flux {
        format!("no DiT: these are the weights of a FLUX transformer; {lacks}")
    } else {
        format!("no DiT: {lacks}")
    }
}

/// Opens the LoRA files of `options` and holds them against the maps that `build` asks for; `model` is the model's name.
fn open_loras(
    options: &LoadOptions,
    layouts: &dyn Fn(KeyLayout, &str) -> Source,
    model: String,
    device: &Device,
    build: impl FnOnce(&mut Targets<'_>) -> Result<(), Infallible>,
) -> Result<Vec<Opened>, LoadError> {
    if options.loras.is_empty() {
        return Ok(Vec::new());
    }
    let mut targets = Targets::new(layouts, device);
    let Ok(()) = build(&mut targets);
    options.loras.iter().map(|lora| Opened::new(lora, &targets, model.clone())).collect()
}

/// Refuses a file whose keys are not those that `build` asks for.
fn survey(
    checkpoint: &Checkpoint,
    source: &dyn Fn(&str) -> Source,
    model: String,
    device: &Device,
    build: impl FnOnce(&mut Survey<'_>) -> Result<(), Infallible>,
) -> Result<(), LoadError> {
    let mut survey = Survey::new(checkpoint, source, device);
    let Ok(()) = build(&mut survey);
    let problems = survey.finish();
    if problems.is_empty() {
        return Ok(());
    }
    Err(LoadError::Keys { file: checkpoint.file.clone(), model, problems: Box::new(problems) })
}
