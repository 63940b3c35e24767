//! Kind and sizes of a model on disk, without reading its weights.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::error::LoadError;
use super::family::Family;
use super::foreign;
use super::open;
use super::places::Places;
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
        let checkpoint = Checkpoint::open(&TRANSFORMERS.at(path.as_ref())?)?;
        if !checkpoint.sections(Flux::SIGNATURES).is_empty() {
            return Ok(Self::Flux);
        }
        if !checkpoint.sections(Dit::SIGNATURES).is_empty() {
            return Ok(Self::Dit);
        }
        let detail = foreign::no_transformer(&checkpoint);
        Err(LoadError::Format { file: checkpoint.file, detail })
    }
}

/// Kind and sizes of a model on disk, without reading its weights.
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
    pub(super) fn new<M: Family<Config = C>>(path: &Path, section: Option<&str>) -> Result<Self, LoadError> {
        let (file, open) = open::open::<M>(path, section)?;
        Ok(Self { file, elements: open.checkpoint.elements(), config: open.config })
    }
}

/// Where the weights of either transformer are looked for.
pub(super) const TRANSFORMERS: Places = Places {
    folder: "transformer",
    stems: &["model", "diffusion_pytorch_model", "flux1-dev", "flux1-schnell", "weights"],
    others: Flux::PLACES.others,
};

/// Where the weights of text encoders and autoencoders are looked for.
const OTHERS: Places = Places {
    folder: ".",
    stems: &["model", "diffusion_pytorch_model", "pytorch_model", "ae"],
    others: &["lora", "pytorch_lora"],
};

impl Outline<()> {
    /// The size of any weights: a file, an index of shards, or the folder of a component.
    ///
    /// # Errors
    /// [`LoadError`] when there are no weights, or the file is not whole.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let file = OTHERS.at(path.as_ref())?;
        let elements = Checkpoint::open(&file)?.elements();
        Ok(Self { file, config: (), elements })
    }
}
