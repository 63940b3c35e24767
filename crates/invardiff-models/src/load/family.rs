//! What differs between models when they are loaded: names, places and configurations.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::error::LoadError;
use super::layout::KeyLayout;
use super::lora::Owner;
use super::places::Places;
use super::source::Source;
use crate::nn::Build;

/// A kind of model, and how its files are found and read.
pub(super) trait Family: Build {
    /// The model's name in errors, such as `DiT`.
    const NAME: &'static str;

    /// Where weights are looked for in a folder.
    const PLACES: Places;

    /// For each naming, a key that every such model has.
    const SIGNATURES: &'static [(KeyLayout, &'static str)];

    /// The part of a pipeline that this model is in LoRA files; `None` if they never change it.
    const OWNER: Option<Owner>;

    /// The configuration beside the weights' file.
    fn beside(file: &Path) -> Result<Option<Self::Config>, LoadError>;

    /// The configuration of weights that come without one, from their shapes or the header of their file.
    fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<Self::Config, LoadError>;

    /// Fills in configuration fields that depend on the naming of the weights.
    fn complete(config: Self::Config, layout: KeyLayout) -> Self::Config {
        let _ = layout;
        config
    }

    /// Where `layout` stores the weight that the model calls `key`.
    fn source(layout: KeyLayout, key: &str, config: &Self::Config, checkpoint: &Checkpoint) -> Source;

    /// Whether a key of the section belongs to another part, which this model ignores.
    fn is_other(key: &str) -> bool {
        let _ = key;
        false
    }
}
