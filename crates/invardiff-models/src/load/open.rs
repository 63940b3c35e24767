//! A model in a file, before and after it is read.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::checkpoint::Checkpoint;
use super::error::LoadError;
use super::family::Family;
use super::layout::KeyLayout;
use super::lora::{Merged, Opened, Owner, Targets, merged_sha256};
use super::options::LoadOptions;
use super::source::Source;
use super::weights::{Reader, Survey};
use super::{foreign, quantised, sections};
use crate::nn::Sizes;

/// A model and where its weights came from.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    pub section: Option<String>,
    /// What was chosen where a file allows several readings, one sentence each: the section, the quantisation, the strength of a LoRA.
    pub notes: Vec<String>,
}

/// A model whose file is open and whose sizes are known.
pub(super) struct Open<M: Family> {
    pub(super) checkpoint: Checkpoint,
    pub(super) config: M::Config,
    layout: KeyLayout,
    section: Option<String>,
    notes: Vec<String>,
}

/// Opens the model at `path`, a file or folder; its configuration is the one beside the file, or read off the shapes.
pub(super) fn open<M: Family>(path: &Path, section: Option<&str>) -> Result<(PathBuf, Open<M>), LoadError> {
    let file = M::PLACES.at(path)?;
    let open = Open::new(Checkpoint::open(&file)?, section, || M::beside(&file))?;
    Ok((file, open))
}

/// Loads the model at `path`, a file or folder.
pub(super) fn load<M: Family>(
    path: &Path,
    options: &LoadOptions,
    device: &Device,
) -> Result<Loaded<M>, LoadError> {
    let (file, open) = open::<M>(path, options.section.as_deref())?;
    Ok(Loaded { file: Some(file), ..open.load(options, device)? })
}

/// Loads a model from a safetensors file in memory.
pub(super) fn from_bytes<M: Family>(
    bytes: &[u8],
    config: &M::Config,
    options: &LoadOptions,
    device: &Device,
) -> Result<Loaded<M>, LoadError> {
    let checkpoint = Checkpoint::from_bytes(bytes)?;
    Open::new(checkpoint, options.section.as_deref(), || Ok(Some(config.clone())))?.load(options, device)
}

impl<M: Family> Open<M> {
    fn new(
        mut checkpoint: Checkpoint,
        wanted: Option<&str>,
        config: impl FnOnce() -> Result<Option<M::Config>, LoadError>,
    ) -> Result<Self, LoadError> {
        let file = checkpoint.file.clone();
        let format = |detail| LoadError::Format { file: file.clone(), detail };
        let all = checkpoint.sections(M::SIGNATURES);
        let Some(section) = sections::choose(&all, wanted).map_err(format)? else {
            return Err(format(foreign::refusal::<M>(&checkpoint)));
        };
        checkpoint.enter(&section, &all);
        checkpoint.drop_matching(M::is_other);
        let layout = section.layout;
        let config = config()?.map_or_else(|| M::infer(&checkpoint, layout), Ok)?;
        config.validate().map_err(|source| LoadError::Config { file: file.clone(), source })?;
        let name = Some(section.prefix).filter(|prefix| !prefix.is_empty());
        let mut notes = Vec::new();
        if let (Some(name), true) = (&name, all.len() > 1) {
            notes.push(format!("{file}: of {} sections with weights, '{name}' is read", all.len()));
        }
        let types = checkpoint.quantised();
        if !types.is_empty() {
            notes.push(format!("{file}: weights of type {} are read as floats", types.join(", ")));
        }
        Ok(Self { checkpoint, config: M::complete(config, layout), layout, section: name, notes })
    }

    /// Checks every key, then reads the weights.
    fn load(self, options: &LoadOptions, device: &Device) -> Result<Loaded<M>, LoadError> {
        let Self { checkpoint, config, layout, section, mut notes } = self;
        let layouts = |layout: KeyLayout, key: &str| M::source(layout, key, &config, &checkpoint);
        let source = |key: &str| layouts(layout, key);
        survey(&checkpoint, &source, config.name(), device, |weights| {
            M::build(&config, weights, device).map(drop)
        })?;
        let loras = open_loras(options, M::OWNER, &layouts, config.name(), device, |targets| {
            M::build(&config, targets, device).map(drop)
        })?;
        notes.extend(loras.iter().flat_map(Opened::notes));
        let reader = Reader { checkpoint: &checkpoint, source: &source, dtype: options.dtype, device };
        let mut merged = Merged { reader, loras: &loras, layouts: &layouts };
        let model = M::build(&config, &mut merged, device)?;
        let sha256 = merged_sha256(checkpoint.sha256()?, &loras)?;
        Ok(Loaded { model, file: None, sha256, layout, section, notes })
    }
}

/// Opens the LoRA files of `options` and compares them with the layers that `build` asks for; `model` is the model's name.
fn open_loras(
    options: &LoadOptions,
    owner: Option<Owner>,
    layouts: &dyn Fn(KeyLayout, &str) -> Source,
    model: String,
    device: &Device,
    build: impl FnOnce(&mut Targets<'_>) -> Result<(), Infallible>,
) -> Result<Vec<Opened>, LoadError> {
    let Some(owner) = owner.filter(|_| !options.loras.is_empty()) else { return Ok(Vec::new()) };
    let mut targets = Targets::new(layouts, device);
    let Ok(()) = build(&mut targets);
    options.loras.iter().map(|lora| Opened::new(lora, &targets, model.clone(), owner)).collect()
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
    let file = checkpoint.file.clone();
    match quantised::refusal(checkpoint.keys()) {
        Some(detail) => Err(LoadError::Format { file, detail }),
        None => Err(LoadError::Keys { file, model, problems: Box::new(problems) }),
    }
}
