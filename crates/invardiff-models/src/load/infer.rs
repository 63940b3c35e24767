//! Configurations read off the shapes of weights.

pub(super) mod clip;
pub(super) mod dit;
pub(super) mod flux;
pub(super) mod t5;
pub(super) mod vae;

use super::checkpoint::Checkpoint;
use super::error::LoadError;

/// The shapes of a file without configuration.
pub(super) struct Shapes<'a> {
    pub(super) checkpoint: &'a Checkpoint,
}

impl Shapes<'_> {
    /// The shape of a key that must be there.
    pub(super) fn of<const D: usize>(&self, key: &str) -> Result<[usize; D], LoadError> {
        let shape = self.checkpoint.shape(key);
        let shape = shape.ok_or_else(|| self.refuse(&format!("'{key}' is missing")))?;
        shape.try_into().map_err(|_| self.refuse(&format!("'{key}' has shape {shape:?}, expected {D} axes")))
    }

    /// The number of blocks whose keys begin with `prefix` and an index: one more than the highest index.
    pub(super) fn layers(&self, prefix: &str) -> usize {
        let keys = self.checkpoint.keys();
        let layers =
            keys.filter_map(|key| key.strip_prefix(prefix)?.split_once('.')?.0.parse::<usize>().ok());
        layers.max().map_or(0, |last| last.saturating_add(1))
    }

    pub(super) fn refuse(&self, detail: &str) -> LoadError {
        LoadError::NotInferred { file: self.checkpoint.file.clone(), detail: detail.to_owned() }
    }
}
