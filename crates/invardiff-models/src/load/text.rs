//! Loading text encoders.

use std::path::Path;

use burn::tensor::{DType, Device};

use super::checkpoint::Checkpoint;
use super::config;
use super::error::LoadError;
use super::family::Family;
use super::infer;
use super::layout::KeyLayout;
use super::lora::Owner;
use super::names;
use super::open::{self, Loaded};
use super::options::LoadOptions;
use super::places::Places;
use super::source::Source;
use crate::{ClipConfig, ClipText, T5Config, T5Encoder};

impl Family for T5Encoder {
    const NAME: &'static str = "T5 encoder";

    const PLACES: Places = Places {
        folder: "text_encoder_2",
        stems: &["model", "pytorch_model"],
        others: &["clip", "vae", "ae.", "flux", "lora", "pytorch_lora"],
    };

    const SIGNATURES: &'static [(KeyLayout, &'static str)] = &names::t5::SIGNATURES;

    const OWNER: Option<Owner> = Some(Owner::T5);

    fn beside(file: &Path) -> Result<Option<T5Config>, LoadError> {
        config::beside(file, T5Config::from_value)
    }

    fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<T5Config, LoadError> {
        infer::t5::infer(checkpoint, layout)
    }

    fn source(layout: KeyLayout, key: &str, _: &T5Config, checkpoint: &Checkpoint) -> Source {
        names::t5::source(layout, key, checkpoint)
    }

    fn is_other(key: &str) -> bool {
        names::t5::is_other(key)
    }
}

impl Family for ClipText {
    const NAME: &'static str = "CLIP text model";

    const PLACES: Places = Places {
        folder: "text_encoder",
        stems: &["model", "pytorch_model"],
        others: &["t5", "vae", "ae.", "flux", "lora", "pytorch_lora"],
    };

    const SIGNATURES: &'static [(KeyLayout, &'static str)] = &names::clip::SIGNATURES;

    const OWNER: Option<Owner> = Some(Owner::Clip);

    fn beside(file: &Path) -> Result<Option<ClipConfig>, LoadError> {
        config::beside(file, ClipConfig::from_value)
    }

    fn infer(checkpoint: &Checkpoint, _: KeyLayout) -> Result<ClipConfig, LoadError> {
        infer::clip::infer(checkpoint)
    }

    fn source(_: KeyLayout, key: &str, _: &ClipConfig, _: &Checkpoint) -> Source {
        Source::Key(key.to_owned())
    }

    fn is_other(key: &str) -> bool {
        names::clip::is_other(key)
    }
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
        Ok(Self::load_with(path, &LoadOptions::default().with_dtype(dtype), device)?.model)
    }

    /// [`T5Encoder::load`] with options: element type, section and LoRA files, of which the parts for this encoder are merged.
    ///
    /// # Errors
    /// As [`T5Encoder::load`]; LoRA files that do not fit are named.
    pub fn load_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        device: &Device,
    ) -> Result<Loaded<Self>, LoadError> {
        open::load(path.as_ref(), options, device)
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
        Ok(Self::load_with(path, &LoadOptions::default().with_dtype(dtype), device)?.model)
    }

    /// [`ClipText::load`] with options: element type, section and LoRA files, of which the parts for this encoder are merged.
    ///
    /// # Errors
    /// As [`ClipText::load`]; LoRA files that do not fit are named.
    pub fn load_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        device: &Device,
    ) -> Result<Loaded<Self>, LoadError> {
        open::load(path.as_ref(), options, device)
    }

    /// Loads a CLIP text model in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`ClipText::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &ClipConfig, device: &Device) -> Result<Self, LoadError> {
        Ok(open::from_bytes(bytes, config, &LoadOptions::default(), device)?.model)
    }
}
