//! The features that a later step will read.

use std::collections::HashMap;

use burn::tensor::Tensor;

/// Kept features by (slot, step), with their bytes counted. Its owner is one trajectory's policy.
#[derive(Debug, Default)]
pub struct FeatureStore {
    kept: HashMap<(usize, usize), Vec<Tensor<3>>>,
    bytes: usize,
    peak: usize,
}

impl FeatureStore {
    /// Keeps the tensors of `slot` computed at `step`.
    pub fn put(&mut self, slot: usize, step: usize, feature: &[Tensor<3>]) {
        self.bytes += bytes(feature);
        self.peak = self.peak.max(self.bytes);
        if let Some(old) = self.kept.insert((slot, step), feature.to_vec()) {
            self.bytes -= bytes(&old);
        }
    }

    /// A handle on a kept feature; the store keeps it.
    pub fn get(&self, slot: usize, step: usize) -> Option<Vec<Tensor<3>>> {
        self.kept.get(&(slot, step)).cloned()
    }

    /// Moves a kept feature out.
    pub fn take(&mut self, slot: usize, step: usize) -> Option<Vec<Tensor<3>>> {
        let feature = self.kept.remove(&(slot, step))?;
        self.bytes -= bytes(&feature);
        Some(feature)
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The most bytes held so far.
    pub fn peak_bytes(&self) -> usize {
        self.peak
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

fn bytes(feature: &[Tensor<3>]) -> usize {
    feature.iter().map(|tensor| tensor.dims().iter().product::<usize>() * tensor.dtype().size()).sum()
}
