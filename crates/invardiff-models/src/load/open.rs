//! A model in a file, before and after it is read.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::checkpoint::Checkpoint;
use super::error::LoadError;
use super::family::Family;
use super::layout::KeyLayout;
use super::lora::{Merged, Opened, Targets, merged_sha256};
use super::options::LoadOptions;
use super::source::Source;
use super::weights::{Reader, Survey};
use crate::nn::Sizes;

/// A model and where its weights came from.
#[derive(Clone, Debug)]
pub struct Loaded<M> {
    /// The model.
    pub model: M,
    /// The weights' file, or the index of their shards; `None` for weights in memory.
    pub file: Option<PathBuf>,
    /// SHA-256 of the whole file, hexadecimal; of shards, that of the lines `<SHA-256 of the shard>  <its name>`; with LoRA
    /// files, that of the lines `<SHA-256 of the weights>`, `<SHA-256 of a LoRA file> <its strength>`.
    pub sha256: String,
    /// The naming of the weights.
    pub layout: KeyLayout,
    /// The section of a larger checkpoint that was read, such as `ema` or `model.diffusion_model`.
    pub section: Option<&'static str>,
}

/// A model whose file is open and whose sizes are known.
pub(super) struct Open<M: Family> {
    pub(super) checkpoint: Checkpoint,
    pub(super) config: M::Config,
    layout: KeyLayout,
    section: Option<&'static str>,
}

/// The weights' file: `path` itself, or the first of `names` in it.
pub(super) fn find(path: &Path, names: &[&str]) -> Result<PathBuf, LoadError> {
    let refuse = |detail| LoadError::NotFound { path: path.display().to_string(), detail };
    if path.is_dir() {
        let found = names.iter().map(|name| path.join(name)).find(|file| file.is_file());
        return found.ok_or_else(|| refuse(format!("the folder has none of {}", names.join(", "))));
    }
    if path.is_file() { Ok(path.to_owned()) } else { Err(refuse("there is no such file or folder".into())) }
}

/// Opens the model at `path`, a file or folder; its configuration is the one beside the file, or told by the shapes.
pub(super) fn open<M: Family>(path: &Path) -> Result<(PathBuf, Open<M>), LoadError> {
    let file = find(path, M::FILES)?;
    let open = Open::new(Checkpoint::open(&file)?, || M::beside(&file))?;
    Ok((file, open))
}

/// Loads the model at `path`, a file or folder.
pub(super) fn load<M: Family>(
    path: &Path,
    options: &LoadOptions,
    device: &Device,
) -> Result<Loaded<M>, LoadError> {
    let (file, open) = open::<M>(path)?;
    Ok(Loaded { file: Some(file), ..open.load(options, device)? })
}

/// Loads a model from a safetensors file in memory.
pub(super) fn from_bytes<M: Family>(
    bytes: &[u8],
    config: &M::Config,
    options: &LoadOptions,
    device: &Device,
) -> Result<Loaded<M>, LoadError> {
    Open::new(Checkpoint::from_bytes(bytes)?, || Ok(Some(config.clone())))?.load(options, device)
}

impl<M: Family> Open<M> {
    fn new(
        mut checkpoint: Checkpoint,
        config: impl FnOnce() -> Result<Option<M::Config>, LoadError>,
    ) -> Result<Self, LoadError> {
        let Some((layout, section)) = M::detect(&checkpoint) else {
            let detail = M::foreign(&checkpoint);
            return Err(LoadError::Format { file: checkpoint.file, detail });
        };
        if let Some(section) = section {
            checkpoint.enter(section);
        }
        checkpoint.drop_matching(M::is_other);
        let config = config()?.map_or_else(|| M::infer(&checkpoint, layout), Ok)?;
        let file = checkpoint.file.clone();
        config.validate().map_err(|source| LoadError::Config { file, source })?;
        Ok(Self { checkpoint, config: M::complete(config, layout), layout, section })
    }

    /// Checks every key, then reads.
    fn load(self, options: &LoadOptions, device: &Device) -> Result<Loaded<M>, LoadError> {
        let Self { checkpoint, config, layout, section } = self;
        let layouts = |layout: KeyLayout, key: &str| M::source(layout, key, &config, &checkpoint);
        let source = |key: &str| layouts(layout, key);
        survey(&checkpoint, &source, config.name(), device, |weights| {
            M::build(&config, weights, device).map(drop)
        })?;
        let loras = open_loras(options, &layouts, config.name(), device, |targets| {
            M::build(&config, targets, device).map(drop)
        })?;
        let reader = Reader { checkpoint: &checkpoint, source: &source, dtype: options.dtype, device };
        let mut merged = Merged { reader, loras: &loras, layouts: &layouts };
        let model = M::build(&config, &mut merged, device)?;
        let sha256 = merged_sha256(checkpoint.sha256()?, &loras)?;
        Ok(Loaded { model, file: None, sha256, layout, section })
    }
}

/// Opens the LoRA files of `options` and compares them with the layers that `build` asks for; `model` is the model's name.
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

/// Returns [`LoadError::Keys`] unless the keys of a file are those that `build` asks for.
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
