//! The tensors of one file, unread.

use std::collections::BTreeMap;
use std::path::Path;

use burn_store::burn_pack::Tensor as Entry;
use burn_store::{ModuleStore, PytorchStore};

use super::error::LoadError;
use super::safe;

/// Unread tensors by key.
pub(super) type Entries = BTreeMap<String, Entry>;

/// Opens a `.safetensors` file or a PyTorch file (`.pt`, `.pth`, `.bin`, `.ckpt`).
pub(super) fn open(path: &Path) -> Result<Entries, LoadError> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let entries = match extension.to_ascii_lowercase().as_str() {
        "safetensors" => safe::open(path)
            .map(|entries| entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect())
            .map_err(|error| format!("no whole safetensors file: {error}")),
        "pt" | "pth" | "bin" | "ckpt" => PytorchStore::from_file(path)
            .map_indices_contiguous(false)
            .get_all_tensors()
            .cloned()
            .map_err(|error| format!("no whole PyTorch file: {error}")),
        _ => Err("weights are read from .safetensors, .pt, .pth, .bin and .ckpt files".into()),
    };
    entries.map_err(|detail| LoadError::Format { file: path.display().to_string(), detail })
}
