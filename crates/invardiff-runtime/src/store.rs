//! The features that a later step will read.

use std::collections::HashMap;

use burn::tensor::{DType, Tensor};
use invardiff_plan::core::Storage;

/// Kept features by (slot, step), with their bytes counted. Its owner is one trajectory's policy.
#[derive(Debug, Default)]
pub struct FeatureStore {
    kept: HashMap<(usize, usize), Kept>,
    storage: Storage,
    bytes: usize,
    peak: usize,
}

/// The tensors of a feature, and the type they were computed in.
#[derive(Debug)]
struct Kept {
    tensors: Vec<Tensor<3>>,
    computed: DType,
}

impl Kept {
    /// The tensors in the type they were computed in.
    fn restored(self) -> Vec<Tensor<3>> {
        let restore = |tensor: Tensor<3>| {
            if tensor.dtype() == self.computed { tensor } else { tensor.cast(self.computed) }
        };
        self.tensors.into_iter().map(restore).collect()
    }
}

impl FeatureStore {
    /// An empty store that keeps features in this precision.
    pub fn new(storage: Storage) -> Self {
        Self { storage, ..Self::default() }
    }

    /// Keeps the tensors of `slot` computed at `step`.
    pub fn put(&mut self, slot: usize, step: usize, feature: &[Tensor<3>]) {
        let kept = Kept {
            tensors: feature.iter().map(|tensor| stored(tensor, self.storage)).collect(),
            computed: feature.first().map_or(DType::F32, Tensor::dtype),
        };
        self.bytes += bytes(&kept.tensors);
        self.peak = self.peak.max(self.bytes);
        if let Some(old) = self.kept.insert((slot, step), kept) {
            self.bytes -= bytes(&old.tensors);
        }
    }

    /// A handle on a kept feature; the store keeps it.
    pub fn get(&self, slot: usize, step: usize) -> Option<Vec<Tensor<3>>> {
        let kept = self.kept.get(&(slot, step))?;
        Some(Kept { tensors: kept.tensors.clone(), computed: kept.computed }.restored())
    }

    /// Moves a kept feature out.
    pub fn take(&mut self, slot: usize, step: usize) -> Option<Vec<Tensor<3>>> {
        let feature = self.kept.remove(&(slot, step))?;
        self.bytes -= bytes(&feature.tensors);
        Some(feature.restored())
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

/// The tensor as it is kept. What is in half precision already stays as it is.
fn stored(tensor: &Tensor<3>, storage: Storage) -> Tensor<3> {
    let wanted = match storage {
        Storage::AsComputed => return tensor.clone(),
        Storage::F16 => DType::F16,
        Storage::Bf16 => DType::BF16,
    };
    if tensor.dtype().size() > wanted.size() { tensor.clone().cast(wanted) } else { tensor.clone() }
}

fn bytes(feature: &[Tensor<3>]) -> usize {
    feature.iter().map(|tensor| tensor.dims().iter().product::<usize>() * tensor.dtype().size()).sum()
}
