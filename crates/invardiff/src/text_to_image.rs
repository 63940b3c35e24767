//! Images from prompts, with FLUX.1.

mod edit;
mod guided;
mod options;
mod packing;
mod pipeline;
mod prepared;
mod prompt;

use burn::tensor::Device;

use crate::error::Result;
use crate::pretrained::Pretrained;

pub use edit::EditImage;
pub use guided::{GuidedFlux, PromptCond};
pub use options::TextToImageOptions;
pub use packing::{pack, unpack};
pub use pipeline::TextToImage;
pub use prepared::{Keeps, PreparedFlux};
pub use prompt::{Cut, Prompt, PromptEncoder};

impl TextToImage {
    /// A pipeline for the FLUX model at a path or in a repository of a hub, for these prompts.
    ///
    /// # Errors
    /// When the model cannot be fetched or loaded, or the options do not fit it; the latter before anything is loaded.
    pub fn from_pretrained(
        model: &str,
        prompts: &[&str],
        options: &TextToImageOptions,
        device: &Device,
    ) -> Result<Self> {
        Self::new(&Pretrained::open(model)?, prompts, options, device)
    }

    /// A pipeline for the parts of a FLUX model.
    ///
    /// # Errors
    /// As [`TextToImage::from_pretrained`].
    pub fn new(
        parts: &Pretrained,
        prompts: &[&str],
        options: &TextToImageOptions,
        device: &Device,
    ) -> Result<Self> {
        PreparedFlux::new(parts, options)?.load(prompts, device)
    }
}
