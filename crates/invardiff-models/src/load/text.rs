//! Loading text encoders.

use std::path::Path;

use burn::tensor::{DType, Device};

use super::checkpoint::Checkpoint;
use super::config;
use super::error::LoadError;
use super::family::Family;
use super::layout::KeyLayout;
use super::open;
use super::options::LoadOptions;
use super::source::Source;
use crate::{ClipConfig, ClipText, T5Config, T5Encoder};

/// The names under which files keep the token table of a T5 encoder: one of them, or both with the same values.
const T5_TABLES: [&str; 2] = ["shared.weight", "encoder.embed_tokens.weight"];

/// The prefix of a CLIP text model's names, in most files.
const CLIP_PREFIX: &str = "text_model.";

impl Family for T5Encoder {
    const FILES: &'static [&'static str] = &[
        "model.safetensors.index.json",
        "model.safetensors",
        "text_encoder_2/model.safetensors.index.json",
        "text_encoder_2/model.safetensors",
    ];

    fn detect(_: &Checkpoint) -> Option<(KeyLayout, Option<&'static str>)> {
        Some((KeyLayout::Diffusers, None))
    }

    fn foreign(_: &Checkpoint) -> String {
        "no T5 encoder".into()
    }

    fn beside(file: &Path) -> Result<Option<T5Config>, LoadError> {
        config::beside(file, T5Config::from_value)
    }

    fn infer(checkpoint: &Checkpoint, _: KeyLayout) -> Result<T5Config, LoadError> {
        Err(not_inferred(checkpoint, "a T5 encoder"))
    }

    fn source(_: KeyLayout, key: &str, _: &T5Config, checkpoint: &Checkpoint) -> Source {
        let tables = T5_TABLES.into_iter().filter(|table| checkpoint.shape(table).is_some());
        let tables: Vec<String> = tables.map(str::to_owned).collect();
        match key {
            "shared.weight" if !tables.is_empty() => Source::Copies(tables),
            key => Source::Key(key.to_owned()),
        }
    }
}

impl Family for ClipText {
    const FILES: &'static [&'static str] = &[
        "model.safetensors.index.json",
        "model.safetensors",
        "text_encoder/model.safetensors.index.json",
        "text_encoder/model.safetensors",
    ];

    fn detect(_: &Checkpoint) -> Option<(KeyLayout, Option<&'static str>)> {
        Some((KeyLayout::Diffusers, None))
    }

    fn foreign(_: &Checkpoint) -> String {
        "no CLIP text model".into()
    }

    fn beside(file: &Path) -> Result<Option<ClipConfig>, LoadError> {
        config::beside(file, ClipConfig::from_value)
    }

    fn infer(checkpoint: &Checkpoint, _: KeyLayout) -> Result<ClipConfig, LoadError> {
        Err(not_inferred(checkpoint, "a CLIP text model"))
    }

    fn source(_: KeyLayout, key: &str, _: &ClipConfig, checkpoint: &Checkpoint) -> Source {
        let prefixed = checkpoint.keys().any(|key| key.starts_with(CLIP_PREFIX));
        Source::Key(if prefixed { format!("{CLIP_PREFIX}{key}") } else { key.to_owned() })
    }

    /// Not weights of the model: a list of numbers from 0 on in older files, and the projection of the pooled output.
    fn is_other(key: &str) -> bool {
        let bare = key.strip_prefix(CLIP_PREFIX).unwrap_or(key);
        bare == "embeddings.position_ids" || key == "text_projection.weight"
    }
}

/// These models have sizes that shapes do not tell.
fn not_inferred(checkpoint: &Checkpoint, what: &str) -> LoadError {
    let detail = format!("the shapes of the weights do not tell all sizes of {what}");
    LoadError::NotInferred { file: checkpoint.file.clone(), detail }
}

impl T5Encoder {
    /// Loads a T5 encoder in f32 from the files of the transformers library.
    ///
    /// `path` is a file of weights, an index of shards (`.safetensors.index.json`), or a folder with either; `config.json`
    /// is beside them. Of a whole pipeline's folder, the encoder in `text_encoder_2`.
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
        let options = LoadOptions::default().with_dtype(dtype);
        Ok(open::load(path.as_ref(), &options, device)?.model)
    }

    /// Loads a T5 encoder in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`T5Encoder::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &T5Config, device: &Device) -> Result<Self, LoadError> {
        Ok(open::from_bytes(bytes, config, &LoadOptions::default(), device)?.model)
    }
}

impl ClipText {
    /// Loads a CLIP text model in f32 from the files of the transformers library.
    ///
    /// `path` is a file of weights, an index of shards (`.safetensors.index.json`), or a folder with either; `config.json`
    /// is beside them. Of a whole pipeline's folder, the model in `text_encoder`. A projection of the pooled output
    /// (`text_projection.weight`) is ignored.
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
        let options = LoadOptions::default().with_dtype(dtype);
        Ok(open::load(path.as_ref(), &options, device)?.model)
    }

    /// Loads a CLIP text model in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`ClipText::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &ClipConfig, device: &Device) -> Result<Self, LoadError> {
        Ok(open::from_bytes(bytes, config, &LoadOptions::default(), device)?.model)
    }
}
