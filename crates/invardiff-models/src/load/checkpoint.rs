//! Named tensors of one or several files, opened but not yet read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};

use super::error::LoadError;
use super::file::{self, Entries, Entry, Settings};
use super::sections::{self, Section};
use super::{digest, finite, scales, shards};

/// Names, shapes and element types of a file's tensors; values are read one tensor at a time.
pub(crate) struct Checkpoint {
    /// The file's name, for errors.
    pub(crate) file: String,
    /// The settings in the header of a GGUF file.
    pub(super) settings: Settings,
    content: Content,
    entries: Entries,
    /// Tensors of the raw weights, used where the averaged weights lack one.
    raw: Entries,
    /// The scales of quantised weights.
    scales: BTreeMap<String, Entry>,
}

/// The bytes to hash.
enum Content {
    File(PathBuf),
    /// Shards in the order of their names.
    Shards(Vec<PathBuf>),
    /// The hash of a file in memory.
    Memory(String),
}

impl Checkpoint {
    /// Opens a file of tensors in any format, or an index of shards (`.index.json`).
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let file = path.display().to_string();
        if shards::is_index(path) {
            let (entries, shards) = shards::open(path)?;
            return Ok(Self::new(file, Content::Shards(shards), entries, Settings::new()));
        }
        if let Some(shards) = shards::beside(path)? {
            let entries = shards::join(&shards)?;
            return Ok(Self::new(file, Content::Shards(shards), entries, Settings::new()));
        }
        let (entries, settings) = file::open(path)?;
        Ok(Self::new(file, Content::File(path.to_owned()), entries, settings))
    }

    /// Opens a safetensors file in memory.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let file = "weights in memory".to_owned();
        let entries = file::open_bytes(bytes);
        let entries = entries.map_err(|detail| LoadError::Format { file: file.clone(), detail })?;
        Ok(Self::new(file, Content::Memory(digest::of_bytes(bytes)), entries, Settings::new()))
    }

    fn new(file: String, content: Content, entries: Entries, settings: Settings) -> Self {
        let (raw, scales) = (Entries::new(), BTreeMap::new());
        Self { file, settings, content, entries: sections::unwrapped(entries), raw, scales }
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

    /// The sections that contain one of these keys.
    pub(super) fn sections(&self, signatures: &[(super::KeyLayout, &str)]) -> Vec<Section> {
        sections::all(&self.entries, signatures)
    }

    /// Keeps only the tensors of `section`, one of `sections`, under the model's names, and takes out the scales of quantised
    /// weights.
    pub(super) fn enter(&mut self, section: &Section, sections: &[Section]) {
        (self.entries, self.raw) = sections::enter(&self.entries, section, sections);
        self.take_scales();
    }

    /// Takes out the scales of quantised weights, which [`Checkpoint::read`] then applies.
    pub(super) fn take_scales(&mut self) {
        self.scales = scales::take(&mut self.entries);
    }

    /// Drops the tensors whose key matches.
    pub(crate) fn drop_matching(&mut self, matches: impl Fn(&str) -> bool) {
        self.entries.retain(|key, _| !matches(key));
    }

    /// The keys in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.entries.keys().map(String::as_str)
    }

    /// Number of elements of all tensors together.
    pub(crate) fn elements(&self) -> u64 {
        let elements = |entry: &Entry| entry.shape.iter().map(|length| *length as u64).product::<u64>();
        self.entries.values().map(elements).sum()
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key).or_else(|| self.raw.get(key))
    }

    /// The shape of a key's tensor.
    pub(crate) fn shape(&self, key: &str) -> Option<&[usize]> {
        Some(&self.entry(key)?.shape)
    }

    /// The name of a key's element type, if its elements are not floats.
    pub(crate) fn not_float(&self, key: &str) -> Option<&'static str> {
        let element = self.entry(key)?.element;
        (!element.is_float()).then(|| element.name())
    }

    /// The element types of quantised weights, each once.
    pub(super) fn quantised(&self) -> Vec<&'static str> {
        let quantised = self.entries.values().filter(|entry| entry.element.is_quantised());
        let mut names: Vec<&str> = quantised.map(|entry| entry.element.name()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The values of a key's tensor, in the file's element type, or f32 if it is quantised.
    ///
    /// # Errors
    /// [`LoadError::NotFinite`] for NaN and infinities.
    pub(crate) fn read(&self, key: &str) -> Result<TensorData, LoadError> {
        let data = self.read_any(key)?;
        match finite::first_bad(&data) {
            None => Ok(data),
            Some(index) => Err(LoadError::NotFinite {
                file: self.file.clone(),
                key: key.to_owned(),
                detail: format!(
                    "the value at index {index} of shape {:?} is NaN or infinite, so that every image would be black: the \
                     file is damaged, or was made with an overflow; take another copy",
                    &data.shape()[..]
                ),
            }),
        }
    }

    /// [`Checkpoint::read`] without the check for NaN and infinities.
    pub(super) fn read_any(&self, key: &str) -> Result<TensorData, LoadError> {
        let refuse = |detail| LoadError::Format { file: self.file.clone(), detail };
        let entry = self.entry(key).ok_or_else(|| refuse(format!("'{key}' is missing")))?;
        let broken = |error| refuse(format!("'{key}' cannot be read: {error}"));
        let data = entry.read().map_err(broken)?;
        match self.scales.get(key) {
            None => Ok(data),
            Some(scale) => scales::apply(data, &scale.read().map_err(broken)?).map_err(broken),
        }
    }

    /// The values of a key's tensor, cast.
    ///
    /// # Errors
    /// As [`Checkpoint::read`]; also for values beyond the range of `dtype`.
    pub(super) fn cast(&self, key: &str, data: TensorData, dtype: DType) -> Result<TensorData, LoadError> {
        let cast = data.convert_dtype(dtype);
        match finite::first_bad(&cast) {
            None => Ok(cast),
            Some(_) => Err(LoadError::NotFinite {
                file: self.file.clone(),
                key: key.to_owned(),
                detail: format!(
                    "a value is beyond the range of {}, so that every image would be black: load the weights as bf16 or f32",
                    dtype.name()
                ),
            }),
        }
    }
}
