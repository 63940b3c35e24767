//! What differs between the kinds of models when they are loaded.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::error::LoadError;
use super::layout::KeyLayout;
use super::source::Source;
use crate::nn::Build;

/// A kind of model, and how its files are found and read.
pub(super) trait Family: Build {
    /// Where weights are looked for in a folder, in this order.
    const FILES: &'static [&'static str];

    /// The naming of a checkpoint's weights, and the section that holds them: a prefix of their names, such as `ema`.
    fn detect(checkpoint: &Checkpoint) -> Option<(KeyLayout, Option<&'static str>)>;

    /// Why a checkpoint is refused in which [`Family::detect`] finds nothing.
    fn foreign(checkpoint: &Checkpoint) -> String;

    /// The configuration beside the weights' file.
    fn beside(file: &Path) -> Result<Option<Self::Config>, LoadError>;

    /// The configuration of weights that come without one, from their shapes.
    fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<Self::Config, LoadError>;

    /// Fills in what a configuration leaves to the naming of the weights.
    fn complete(config: Self::Config, layout: KeyLayout) -> Self::Config {
        let _ = layout;
        config
    }

    /// Where `layout` stores the weight that the model calls `key`.
    fn source(layout: KeyLayout, key: &str, config: &Self::Config, checkpoint: &Checkpoint) -> Source;

    /// Whether a key of the file belongs to another part, which the model leaves out.
    fn is_other(key: &str) -> bool {
        let _ = key;
        false
    }
}
