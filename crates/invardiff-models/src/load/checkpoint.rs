//! A file of named tensors, opened but not yet read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use burn_store::burn_pack::Tensor as Entry;
use burn_store::{ModuleStore, PytorchStore, SafetensorsStore, bridge};
use sha2::{Digest, Sha256};

use super::{LoadError, safe, shards};

/// Names, shapes and element types of a file's tensors; values are read one tensor at a time.
pub(crate) struct Checkpoint {
    /// The file's name, for errors.
    pub(crate) file: String,
    pub(super) content: Content,
    pub(super) entries: Entries,
}

/// Unread tensors by key.
pub(super) type Entries = BTreeMap<String, Entry>;

/// Where the bytes are that a hash is taken of.
pub(super) enum Content {
    File(PathBuf),
    /// Shards in the order of their names.
    Shards(Vec<PathBuf>),
    /// The hash of a file that is in memory.
    Memory(String),
}

impl Checkpoint {
    /// Opens a `.safetensors` file, the index of several (`.safetensors.index.json`), or a PyTorch file (`.pt`, `.pth`,
    /// `.bin`, `.ckpt`).
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        if path.to_string_lossy().ends_with(".safetensors.index.json") {
            return Self::open_shards(path);
        }
        let file = path.display().to_string();
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
        let entries = entries.map_err(|detail| LoadError::Format { file: file.clone(), detail })?;
        Ok(Self { file, content: Content::File(path.to_owned()), entries })
    }

    /// Opens a safetensors file that is in memory already.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let file = "weights in memory".to_owned();
        let content = Content::Memory(hex(&Sha256::digest(bytes)));
        let entries = SafetensorsStore::from_bytes(Some(bytes.to_vec())).get_all_tensors().cloned().map_err(
            |error| LoadError::Format {
                file: file.clone(),
                detail: format!("no whole safetensors file: {error}"),
            },
        )?;
        Ok(Self { file, content, entries })
    }

    /// SHA-256 of the whole file, hexadecimal; of shards, that of the lines `<SHA-256 of the shard>  <its name>` in the order
    /// of the names. Reads everything.
    pub(crate) fn sha256(&self) -> Result<String, LoadError> {
        match &self.content {
            Content::File(path) => hash(path),
            Content::Shards(paths) => shards::hash_all(paths),
            Content::Memory(sha256) => Ok(sha256.clone()),
        }
    }

    /// Keeps the tensors under `section` alone, their names without it.
    pub(crate) fn enter(&mut self, section: &str) {
        let prefix = format!("{section}.");
        self.entries = std::mem::take(&mut self.entries)
            .into_iter()
            .filter_map(|(key, entry)| Some((key.strip_prefix(&prefix)?.to_owned(), entry)))
            .collect();
    }

    /// Leaves out the tensors that this says so of.
    pub(crate) fn leave(&mut self, out: impl Fn(&str) -> bool) {
        self.entries.retain(|key, _| !out(key));
    }

    /// The keys in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Elements of all tensors.
    pub(crate) fn elements(&self) -> u64 {
        self.entries
            .values()
            .map(|entry| entry.shape.iter().map(|length| *length as u64).product::<u64>())
            .sum()
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

/// SHA-256 of a file, hexadecimal.
pub(super) fn hash(path: &Path) -> Result<String, LoadError> {
    let io = |source| LoadError::Io { file: path.display().to_string(), source };
    let mut file = File::open(path).map_err(io)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).map_err(io)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
