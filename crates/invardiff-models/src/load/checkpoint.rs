//! A file of named tensors, opened but not yet read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use burn_store::burn_pack::Tensor as Entry;
use burn_store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use sha2::{Digest, Sha256};

use super::{LoadError, safe};

/// Names, shapes and element types of a file's tensors; values are read one tensor at a time.
pub(crate) struct Checkpoint {
    /// The file's name, for errors.
    pub(crate) file: String,
    /// SHA-256 of the whole file, hexadecimal.
    pub(crate) sha256: String,
    entries: BTreeMap<String, Entry>,
}

impl Checkpoint {
    /// Opens a `.safetensors` file, or a PyTorch one (`.pt`, `.pth`, `.bin`, `.ckpt`).
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let file = path.display().to_string();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let sha256 = hash(path).map_err(|source| LoadError::Io { file: file.clone(), source })?;
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
        let entries = entries.map_err(|detail| LoadError::Format { file: file.clone(), detail })?;
        Ok(Self { file, sha256, entries })
    }

    /// Opens a safetensors file that is in memory already.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let file = "weights in memory".to_owned();
        let sha256 = hex(&Sha256::digest(bytes));
        let entries = SafetensorsStore::from_bytes(Some(bytes.to_vec())).get_all_tensors().cloned().map_err(
            |error| LoadError::Format {
                file: file.clone(),
                detail: format!("no whole safetensors file: {error}"),
            },
        )?;
        Ok(Self { file, sha256, entries })
    }

    /// Keeps the tensors under `section` alone, their names without it.
    pub(crate) fn enter(&mut self, section: &str) {
        let prefix = format!("{section}.");
        self.entries = std::mem::take(&mut self.entries)
            .into_iter()
            .filter_map(|(key, entry)| Some((key.strip_prefix(&prefix)?.to_owned(), entry)))
            .collect();
    }

    /// The keys in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a key's tensor.
    pub(crate) fn shape(&self, key: &str) -> Option<&[usize]> {
        self.entries.get(key).map(|entry| &*entry.shape)
    }

    /// The element type of a key's tensor.
    pub(crate) fn dtype(&self, key: &str) -> Option<DType> {
        self.entries.get(key).map(|entry| entry.dtype)
    }

    /// The values of a key's tensor, as the file has them.
    pub(crate) fn read(&self, key: &str) -> Result<TensorData, LoadError> {
        let refuse = |detail| LoadError::Format { file: self.file.clone(), detail };
        let entry = self.entries.get(key).ok_or_else(|| refuse(format!("'{key}' is missing")))?;
        bridge::to_data(entry).map_err(|error| refuse(format!("'{key}' cannot be read: {error}")))
    }
}

fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
