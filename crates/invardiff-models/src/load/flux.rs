//! Loading a FLUX transformer.

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
use super::outline::Outline;
use super::places::Places;
use super::source::Source;
use crate::{Flux, FluxConfig};

impl Family for Flux {
    const NAME: &'static str = "FLUX";

    const PLACES: Places = Places {
        folder: "transformer",
        stems: &["model", "diffusion_pytorch_model", "flux1-dev", "flux1-schnell"],
        others: &["vae", "ae.", "clip", "t5", "text_encoder", "lora", "pytorch_lora"],
    };

    const SIGNATURES: &'static [(KeyLayout, &'static str)] = &names::flux::SIGNATURES;

    const OWNER: Option<Owner> = Some(Owner::Transformer);

    fn beside(file: &Path) -> Result<Option<FluxConfig>, LoadError> {
        config::beside(file, config::flux)
    }

    fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<FluxConfig, LoadError> {
        infer::flux::infer(checkpoint, layout)
    }

    fn source(layout: KeyLayout, key: &str, config: &FluxConfig, _: &Checkpoint) -> Source {
        names::flux::source(layout, key, config)
    }
}

impl Flux {
    /// Loads a FLUX transformer in f32 from any published layout.
    ///
    /// `path` is a file of weights (the original `flux1-dev.safetensors`), an index of shards
    /// (`.safetensors.index.json`), or a folder: this project's (`config.json`, `model.safetensors`), diffusers' (one
    /// file or shards, perhaps in `transformer/`), or one with the original file. The configuration is the one beside the
    /// weights; without one it is read off the shapes.
    ///
    /// Files are read one tensor at a time, so there is never more than one tensor in memory beside the model.
    ///
    /// # Errors
    /// [`LoadError`] names the file. Missing, unused and misshapen keys are one [`LoadError::Keys`] that lists them all;
    /// a truncated or foreign file, or an index that does not agree with its shards, is a [`LoadError::Format`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Loaded<Self>, LoadError> {
        Self::load_with(path, &LoadOptions::default(), device)
    }

    /// [`Flux::load`] with the weights cast to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`Flux::load`].
    pub fn load_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Loaded<Self>, LoadError> {
        Self::load_with(path, &LoadOptions::default().with_dtype(dtype), device)
    }

    /// [`Flux::load`] with options: element type and LoRA files. LoRA files may use the names of either layout, whichever the
    /// weights have.
    ///
    /// # Errors
    /// As [`Flux::load`]; a LoRA file that does not fit the model is a [`LoadError::Keys`] that names this file.
    pub fn load_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        device: &Device,
    ) -> Result<Loaded<Self>, LoadError> {
        open::load(path.as_ref(), options, device)
    }

    /// Loads a FLUX transformer in f32 from a safetensors file in memory.
    ///
    /// # Errors
    /// As [`Flux::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &FluxConfig, device: &Device) -> Result<Loaded<Self>, LoadError> {
        open::from_bytes(bytes, config, &LoadOptions::default(), device)
    }

    /// The sizes of the FLUX transformer at `path`, a file or folder as for [`Flux::load`], without reading its weights.
    ///
    /// # Errors
    /// As [`Flux::load`], except for keys that do not fit.
    pub fn outline(path: impl AsRef<Path>) -> Result<Outline<FluxConfig>, LoadError> {
        Self::outline_of(path, None)
    }

    /// [`Flux::outline`] of a section of a training file, such as `ema`; the averaged weights, or the only ones, if it is `None`.
    ///
    /// # Errors
    /// As [`Flux::outline`]; lists the sections if there is none of this name.
    pub fn outline_of(
        path: impl AsRef<Path>,
        section: Option<&str>,
    ) -> Result<Outline<FluxConfig>, LoadError> {
        Outline::new::<Self>(path.as_ref(), section)
    }
}
