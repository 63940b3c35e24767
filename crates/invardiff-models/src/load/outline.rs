//! What weights are, told without reading them.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::{DIT_SECTIONS, KeyLayout, LoadError, config, find, flux, infer};
use crate::{Dit, DitConfig, Flux, FluxConfig, Numerics};

/// Which diffusion transformer a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// A class-conditional DiT.
    Dit,
    /// A FLUX transformer.
    Flux,
}

impl Architecture {
    /// What the transformer at `path` is, a file or a folder as [`Dit::load`] and [`Flux::load`] take them.
    ///
    /// # Errors
    /// [`LoadError`] where there are no weights, or those of something else.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let names: Vec<&str> = flux::IN_FOLDER.iter().chain(&super::IN_FOLDER).copied().collect();
        let checkpoint = Checkpoint::open(&find(path.as_ref(), &names)?)?;
        if KeyLayout::detect(&checkpoint, KeyLayout::flux_signature, &flux::SECTIONS).is_some() {
            return Ok(Self::Flux);
        }
        if KeyLayout::detect(&checkpoint, KeyLayout::dit_signature, &DIT_SECTIONS).is_some() {
            return Ok(Self::Dit);
        }
        let keys = [KeyLayout::dit_signature, KeyLayout::flux_signature]
            .map(|signature| [KeyLayout::Original, KeyLayout::Diffusers].map(signature).join("', '"));
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
    /// Elements of all weights.
    pub elements: u64,
}

impl Dit {
    /// The sizes of the DiT at `path`, a file or a folder as [`Dit::load`] takes them.
    ///
    /// # Errors
    /// As [`Dit::load`], for what can be told without reading the weights.
    pub fn outline(path: impl AsRef<Path>) -> Result<Outline<DitConfig>, LoadError> {
        let file = find(path.as_ref(), &super::IN_FOLDER)?;
        let mut checkpoint = Checkpoint::open(&file)?;
        let Some((layout, section)) = KeyLayout::detect(&checkpoint, KeyLayout::dit_signature, &DIT_SECTIONS)
        else {
            return Err(LoadError::Format {
                file: checkpoint.file.clone(),
                detail: super::no_dit(&checkpoint),
            });
        };
        if let Some(section) = section {
            checkpoint.enter(section);
        }
        let beside = config::beside(folder(&file), config::dit)?;
        let mut config = beside.map_or_else(|| infer::infer(&checkpoint, layout), Ok)?;
        config.numerics.get_or_insert(match layout {
            KeyLayout::Original => Numerics::Original,
            KeyLayout::Diffusers => Numerics::Diffusers,
        });
        Ok(Outline { file, config, elements: checkpoint.elements() })
    }
}

impl Flux {
    /// The sizes of the FLUX transformer at `path`, a file or a folder as [`Flux::load`] takes them.
    ///
    /// # Errors
    /// As [`Flux::load`], for what can be told without reading the weights.
    pub fn outline(path: impl AsRef<Path>) -> Result<Outline<FluxConfig>, LoadError> {
        let file = find(path.as_ref(), &flux::IN_FOLDER)?;
        let mut checkpoint = Checkpoint::open(&file)?;
        let Some((layout, section)) =
            KeyLayout::detect(&checkpoint, KeyLayout::flux_signature, &flux::SECTIONS)
        else {
            return Err(LoadError::Format {
                file: checkpoint.file.clone(),
                detail: flux::no_flux(&checkpoint),
            });
        };
        if let Some(section) = section {
            checkpoint.enter(section);
        }
        let beside = config::beside(folder(&file), config::flux)?;
        let config = beside.map_or_else(|| flux::infer::infer(&checkpoint, layout), Ok)?;
        Ok(Outline { file, config, elements: checkpoint.elements() })
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
    /// The size of any weights: a file, the index of shards, or a component's folder.
    ///
    /// # Errors
    /// [`LoadError`] where there are none, or a file that is not whole.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let file = find(path.as_ref(), &OTHERS)?;
        let elements = Checkpoint::open(&file)?.elements();
        Ok(Self { file, config: (), elements })
    }
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}
