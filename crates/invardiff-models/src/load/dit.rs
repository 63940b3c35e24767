//! Loading a DiT.

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
use crate::{Dit, DitConfig, Numerics};

impl Family for Dit {
    const NAME: &'static str = "DiT";

    const PLACES: Places = Places {
        folder: "transformer",
        stems: &["model", "weights", "diffusion_pytorch_model"],
        others: &["vae", "ae.", "classifier", "lora", "pytorch_lora"],
    };

    const SIGNATURES: &'static [(KeyLayout, &'static str)] = &names::dit::SIGNATURES;

    const OWNER: Option<Owner> = Some(Owner::Transformer);

    fn beside(file: &Path) -> Result<Option<DitConfig>, LoadError> {
        config::beside(file, config::dit)
    }

    fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<DitConfig, LoadError> {
        infer::dit::infer(checkpoint, layout)
    }

    fn complete(mut config: DitConfig, layout: KeyLayout) -> DitConfig {
        config.numerics.get_or_insert(match layout {
            KeyLayout::Original | KeyLayout::LlamaCpp => Numerics::Original,
            KeyLayout::Diffusers => Numerics::Diffusers,
        });
        config
    }

    fn source(layout: KeyLayout, key: &str, config: &DitConfig, _: &Checkpoint) -> Source {
        names::dit::source(layout, key, config)
    }
}

impl Dit {
    /// Loads a DiT in f32 from any published layout.
    ///
    /// `path` is a file of weights (`.safetensors`; `.pt`, plain or with the weights under `ema`, `model`, ..) or a folder:
    /// this project's (`config.json`, `model.safetensors`), diffusers' (`config.json`,
    /// `diffusion_pytorch_model.safetensors`, both perhaps in `transformer/`), or a fixture's (`manifest.json`,
    /// `weights.safetensors`). The configuration is the one beside the weights; without one it is read off the shapes.
    ///
    /// # Errors
    /// [`LoadError`] names the file. Missing, unused and misshapen keys are one [`LoadError::Keys`] that lists them all;
    /// a truncated or foreign file is a [`LoadError::Format`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Loaded<Self>, LoadError> {
        Self::load_with(path, &LoadOptions::default(), device)
    }

    /// [`Dit::load`] with the weights cast to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`Dit::load`].
    pub fn load_as(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Loaded<Self>, LoadError> {
        Self::load_with(path, &LoadOptions::default().with_dtype(dtype), device)
    }

    /// [`Dit::load`] with options: element type and LoRA files.
    ///
    /// # Errors
    /// As [`Dit::load`]; a LoRA file that does not fit the model is a [`LoadError::Keys`] that names this file.
    pub fn load_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        device: &Device,
    ) -> Result<Loaded<Self>, LoadError> {
        open::load(path.as_ref(), options, device)
    }

    /// Loads a DiT in f32 from a safetensors file in memory, such as one embedded with `include_bytes!`. With diffusers'
    /// names and no [`DitConfig::numerics`], the numbers follow diffusers.
    ///
    /// # Errors
    /// As [`Dit::load`]; the file is called "weights in memory".
    pub fn from_bytes(bytes: &[u8], config: &DitConfig, device: &Device) -> Result<Loaded<Self>, LoadError> {
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
    ) -> Result<Loaded<Self>, LoadError> {
        open::from_bytes(bytes, config, &LoadOptions::default().with_dtype(dtype), device)
    }

    /// The sizes of the DiT at `path`, a file or folder as for [`Dit::load`], without reading its weights.
    ///
    /// # Errors
    /// As [`Dit::load`], except for keys that do not fit.
    pub fn outline(path: impl AsRef<Path>) -> Result<Outline<DitConfig>, LoadError> {
        Outline::new::<Self>(path.as_ref(), None)
    }
}
