//! Loading text encoders.

use std::path::Path;

use burn::tensor::{DType, Device};

use super::checkpoint::Checkpoint;
use super::layout::Source;
use super::{LoadError, assembled, config, find};
use crate::{ClipConfig, ClipText, T5Config, T5Encoder};

/// Where the weights of a T5 encoder are looked for in a folder, in this order.
const T5_IN_FOLDER: [&str; 4] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "text_encoder_2/model.safetensors.index.json",
    "text_encoder_2/model.safetensors",
];

/// Where the weights of a CLIP text model are looked for in a folder, in this order.
const CLIP_IN_FOLDER: [&str; 4] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "text_encoder/model.safetensors.index.json",
    "text_encoder/model.safetensors",
];

/// The names under which files keep the table of a T5 encoder's tokens: one, or both with the same values.
const T5_TABLES: [&str; 2] = ["shared.weight", "encoder.embed_tokens.weight"];

/// What the names of a CLIP text model begin with, in most files.
const CLIP_PREFIX: &str = "text_model.";

impl T5Encoder {
    /// Loads a T5 encoder in f32 from the files of the transformers library.
    ///
    /// `path` is a file of weights, an index of shards (`.safetensors.index.json`), or a folder with either; with
    /// `config.json` beside them. Of a whole pipeline's folder it is that in `text_encoder_2`.
    ///
    /// # Errors
    /// [`LoadError`] names the file. Missing, unused and misshapen keys are one [`LoadError::Keys`] that lists them all.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, LoadError> {
        Self::load_as(path, DType::F32, device)
    }

    /// [`T5Encoder::load`] with the weights cast to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`T5Encoder::load`].
    pub fn load_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self, LoadError> {
        let file = find(path.as_ref(), &T5_IN_FOLDER)?;
        let config = beside(&file, "a T5 encoder", T5Config::from_value)?;
        t5(&Checkpoint::open(&file)?, &config, dtype, device)
    }

    /// Loads a T5 encoder in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`T5Encoder::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &T5Config, device: &Device) -> Result<Self, LoadError> {
        t5(&Checkpoint::from_bytes(bytes)?, config, DType::F32, device)
    }
}

impl ClipText {
    /// Loads a CLIP text model in f32 from the files of the transformers library.
    ///
    /// `path` is a file of weights, an index of shards (`.safetensors.index.json`), or a folder with either; with
    /// `config.json` beside them. Of a whole pipeline's folder it is that in `text_encoder`. A projection of the pooled
    /// output (`text_projection.weight`) is left alone.
    ///
    /// # Errors
    /// As [`T5Encoder::load`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, LoadError> {
        Self::load_as(path, DType::F32, device)
    }

    /// [`ClipText::load`] with the weights cast to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`ClipText::load`].
    pub fn load_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self, LoadError> {
        let file = find(path.as_ref(), &CLIP_IN_FOLDER)?;
        let config = beside(&file, "a CLIP text model", ClipConfig::from_value)?;
        clip(Checkpoint::open(&file)?, &config, dtype, device)
    }

    /// Loads a CLIP text model in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`ClipText::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &ClipConfig, device: &Device) -> Result<Self, LoadError> {
        clip(Checkpoint::from_bytes(bytes)?, config, DType::F32, device)
    }
}

/// The configuration beside the weights; these models are not told by their shapes.
fn beside<C>(file: &Path, what: &str, parse: config::Parse<C>) -> Result<C, LoadError> {
    let found = config::beside(file.parent().unwrap_or(Path::new("")), parse)?;
    found.ok_or_else(|| LoadError::NotInferred {
        file: file.display().to_string(),
        detail: format!("the shapes of the weights do not tell all sizes of {what}"),
    })
}

fn t5(
    checkpoint: &Checkpoint,
    config: &T5Config,
    dtype: DType,
    device: &Device,
) -> Result<T5Encoder, LoadError> {
    config.validate().map_err(|source| LoadError::Config { file: checkpoint.file.clone(), source })?;
    let tables: Vec<String> =
        T5_TABLES.into_iter().filter(|key| checkpoint.shape(key).is_some()).map(str::to_owned).collect();
    let source = |key: &str| match key {
        "shared.weight" if !tables.is_empty() => Source::Copies(tables.clone()),
        key => Source::Key(key.to_owned()),
    };
    assembled(checkpoint, &source, config, config.name(), dtype, device)
}

fn clip(
    mut checkpoint: Checkpoint,
    config: &ClipConfig,
    dtype: DType,
    device: &Device,
) -> Result<ClipText, LoadError> {
    config.validate().map_err(|source| LoadError::Config { file: checkpoint.file.clone(), source })?;
    let prefixed = checkpoint.keys().any(|key| key.starts_with(CLIP_PREFIX));
    let prefix = if prefixed { CLIP_PREFIX } else { "" };
    // Not weights of the model: a list of numbers from 0 on in older files, and what comes after the pooled output.
    let position_ids = format!("{prefix}embeddings.position_ids");
    checkpoint.leave(|key| key == position_ids || key == "text_projection.weight");
    let source = |key: &str| Source::Key(format!("{prefix}{key}"));
    assembled(&checkpoint, &source, config, config.name(), dtype, device)
}
