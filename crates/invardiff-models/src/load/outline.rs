//! What weights are, told without reading them.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::error::LoadError;
use super::family::Family;
use super::layout::KeyLayout;
use super::names;
use super::open::{self, find};
use crate::{Dit, Flux};

/// The kind of a diffusion transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// A class-conditional DiT.
    Dit,
    /// A FLUX transformer.
    Flux,
}

impl Architecture {
    /// The kind of the transformer at `path`, a file or folder as for [`Dit::load`] and [`Flux::load`].
    ///
    /// # Errors
    /// [`LoadError`] when there are no weights, or weights of something else.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let names: Vec<&str> = Flux::FILES.iter().chain(Dit::FILES).copied().collect();
        let checkpoint = Checkpoint::open(&find(path.as_ref(), &names)?)?;
        if Flux::detect(&checkpoint).is_some() {
            return Ok(Self::Flux);
        }
        if Dit::detect(&checkpoint).is_some() {
            return Ok(Self::Dit);
        }
        let keys = [names::dit::signature, names::flux::signature]
            .map(|signature| KeyLayout::ALL.map(signature).join("', '"));
        let detail = format!("neither a DiT nor a FLUX transformer: it has none of '{}'", keys.join("', '"));
        Err(LoadError::Format { file: checkpoint.file, detail })
    }
}

/// What weights are, told without reading them.
#[derive(Clone, Debug)]
pub struct Outline<C> {
    /// The weights' file, or the index of their shards.
    pub file: PathBuf,
    /// The model's sizes.
    pub config: C,
    /// Number of elements of all weights together.
    pub elements: u64,
}

impl<C> Outline<C> {
    /// Opens the model at `path`.
    pub(super) fn new<M: Family<Config = C>>(path: &Path) -> Result<Self, LoadError> {
        let (file, open) = open::open::<M>(path)?;
        Ok(Self { file, elements: open.checkpoint.elements(), config: open.config })
    }
}

/// Where the weights of text encoders and autoencoders are looked for in a folder.
const OTHERS: [&str; 6] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "ae.safetensors",
];

impl Outline<()> {
    /// The size of any weights: a file, an index of shards, or the folder of a component.
    ///
    /// # Errors
    /// [`LoadError`] when there are no weights, or the file is not whole.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let file = find(path.as_ref(), &OTHERS)?;
        let elements = Checkpoint::open(&file)?.elements();
        Ok(Self { file, config: (), elements })
    }
}
