//! One file of tensors, in any supported format.

mod entry;
mod gguf;
mod kind;
mod safe;

pub(crate) use entry::{Entries, Entry};
pub(crate) use gguf::{Setting, Settings};
pub(crate) use safe::remarks;

use std::path::Path;

use burn_store::{ModuleStore, PytorchStore};

use super::error::LoadError;
use kind::Kind;

/// The tensors of a file, unread, and the settings in its header if it is a GGUF file. The format is recognised by the first bytes,
/// not by the file's extension.
pub(super) fn open(path: &Path) -> Result<(Entries, Settings), LoadError> {
    let opened = match Kind::of(path)? {
        Kind::Safetensors => safe::open(path)
            .map(|entries| (entries, Settings::new()))
            .map_err(|error| format!("no whole safetensors file: {error}")),
        Kind::Gguf => gguf::open(path).map_err(|error| format!("no whole GGUF file: {error}")),
        Kind::PyTorch => torch(path)
            .map(|entries| (entries, Settings::new()))
            .map_err(|error| format!("no whole PyTorch file: {error}")),
    };
    opened.map_err(|detail| LoadError::Format { file: path.display().to_string(), detail })
}

/// The tensors of a safetensors file in memory.
pub(super) fn open_bytes(bytes: &[u8]) -> Result<Entries, String> {
    safe::open_bytes(bytes).map_err(|error| format!("no whole safetensors file: {error}"))
}

fn torch(path: &Path) -> Result<Entries, String> {
    let mut store = PytorchStore::from_file(path).map_indices_contiguous(false);
    let tensors = store.get_all_tensors().map_err(|error| error.to_string())?;
    Ok(tensors.iter().map(|(key, tensor)| (key.clone(), Entry::packed(tensor.clone()))).collect())
}
