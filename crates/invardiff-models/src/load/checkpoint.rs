//! Named tensors of one or several files, opened but not yet read.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use burn_store::{ModuleStore, SafetensorsStore, bridge};

use super::entries::{self, Entries};
use super::error::LoadError;
use super::{digest, shards};

/// Names, shapes and element types of a file's tensors; values are read one tensor at a time.
pub(crate) struct Checkpoint {
    /// The file's name, for errors.
    pub(crate) file: String,
    content: Content,
    entries: Entries,
}

/// The bytes that are hashed.
enum Content {
    File(PathBuf),
    /// Shards in the order of their names.
    Shards(Vec<PathBuf>),
    /// The hash of a file in memory.
    Memory(String),
}

impl Checkpoint {
    /// Opens a `.safetensors` file, an index of shards (`.safetensors.index.json`), or a PyTorch file (`.pt`, `.pth`, `.bin`,
    /// `.ckpt`).
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let file = path.display().to_string();
        if file.ends_with(".safetensors.index.json") {
            let (entries, shards) = shards::open(path)?;
            return Ok(Self { file, content: Content::Shards(shards), entries });
        }
        Ok(Self { file, content: Content::File(path.to_owned()), entries: entries::open(path)? })
    }

    /// Opens a safetensors file in memory.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let file = "weights in memory".to_owned();
        let content = Content::Memory(digest::of_bytes(bytes));
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
            Content::File(path) => digest::of_file(path),
            Content::Shards(paths) => digest::of_shards(paths),
            Content::Memory(sha256) => Ok(sha256.clone()),
        }
    }

    /// Keeps only the tensors under `section` and removes it from their names.
    pub(crate) fn enter(&mut self, section: &str) {
        let prefix = format!("{section}.");
        self.entries = std::mem::take(&mut self.entries)
            .into_iter()
            .filter_map(|(key, entry)| Some((key.strip_prefix(&prefix)?.to_owned(), entry)))
            .collect();
    }

    /// Drops the tensors whose key matches.
    pub(crate) fn drop_matching(&mut self, matches: impl Fn(&str) -> bool) {
        self.entries.retain(|key, _| !matches(key));
    }

    /// The keys in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Number of elements of all tensors together.
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

    /// The values of a key's tensor, in the file's element type.
    pub(crate) fn read(&self, key: &str) -> Result<TensorData, LoadError> {
        let refuse = |detail| LoadError::Format { file: self.file.clone(), detail };
        let entry = self.entries.get(key).ok_or_else(|| refuse(format!("'{key}' is missing")))?;
        bridge::to_data(entry).map_err(|error| refuse(format!("'{key}' cannot be read: {error}")))
    }
}
