//! The store of features for later steps.

use std::collections::HashMap;

use burn::tensor::{DType, Tensor};
use invardiff_plan::core::Storage;

/// Features by (slot, step), with a count of their bytes. It belongs to the policy of one trajectory.
#[derive(Debug, Default)]
pub struct FeatureStore {
    kept: HashMap<(usize, usize), Kept>,
    storage: Storage,
    bytes: usize,
    peak: usize,
}

/// The tensors of a feature, and the type in which they were computed.
#[derive(Debug)]
struct Kept {
    tensors: Vec<Tensor<3>>,
    computed: DType,
}

impl Kept {
    /// The tensors in the type in which they were computed.
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

    /// Keeps the tensors of `slot` that were computed at `step`.
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

    /// A kept feature, which stays in the store; `None` where it is not kept.
    pub fn get(&self, slot: usize, step: usize) -> Option<Vec<Tensor<3>>> {
        let kept = self.kept.get(&(slot, step))?;
        Some(Kept { tensors: kept.tensors.clone(), computed: kept.computed }.restored())
    }

    /// Removes and returns a kept feature; `None` where it is not kept.
    pub fn take(&mut self, slot: usize, step: usize) -> Option<Vec<Tensor<3>>> {
        let feature = self.kept.remove(&(slot, step))?;
        self.bytes -= bytes(&feature.tensors);
        Some(feature.restored())
    }

    /// The bytes held now.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The peak of the bytes held so far.
    pub fn peak_bytes(&self) -> usize {
        self.peak
    }

    /// Whether no feature is held.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// The tensor in the type in which it is kept. A tensor in half precision stays as it is.
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
