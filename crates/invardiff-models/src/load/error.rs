//! Why weights were not loaded.

use std::fmt;

use crate::ConfigError;

/// Why a model could not be loaded. A model is never loaded in part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// There are no weights at this path.
    #[error("{path}: {detail}")]
    NotFound {
        /// The path as given.
        path: String,
        /// What was looked for.
        detail: String,
    },
    /// The file does not follow its format: it is truncated, too long, or something else altogether.
    #[error("{file}: {detail}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// The configuration is wrong.
    #[error("{file}: {source}")]
    Config {
        /// The configuration file, or the weights whose shapes gave the configuration.
        file: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// The weights have no configuration, and their shapes do not determine all sizes.
    #[error("{file}: {detail}; put a config.json beside the weights")]
    NotInferred {
        /// The weights' file.
        file: String,
        /// Which sizes the shapes do not determine.
        detail: String,
    },
    /// Keys do not fit the model; lists every one.
    #[error("{file}: the weights do not fit {model}\n{problems}")]
    Keys {
        /// The file.
        file: String,
        /// The model's name.
        model: String,
        /// The keys that do not fit.
        problems: Box<KeyProblems>,
    },
    /// A value is NaN, infinite, or beyond the range of the element type.
    #[error("{file}: '{key}': {detail}")]
    NotFinite {
        /// The file.
        file: String,
        /// The tensor.
        key: String,
        /// What is wrong and what to do.
        detail: String,
    },
    /// Copies of one weight that must be equal differ.
    #[error(
        "{file}: '{key}' differs from '{first}': the layout stores one copy per block, and they must be equal"
    )]
    Copies {
        /// The file.
        file: String,
        /// The first key that differs.
        key: String,
        /// The key that it must equal.
        first: String,
    },
}

/// Every key that does not fit, as named in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyProblems {
    /// Keys that the model needs and the file lacks, with the expected shape.
    pub missing: Vec<FoundTensor>,
    /// Keys of the file that the model does not use, with their shape.
    pub unused: Vec<FoundTensor>,
    /// Keys with the wrong shape.
    pub misshapen: Vec<Misshapen>,
    /// Keys whose elements are not floats, as (key, element type).
    pub not_float: Vec<(String, String)>,
    /// One line for each kind of tensors in a LoRA file that cannot be merged, with a count and advice.
    pub families: Vec<String>,
}

/// A key with a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTensor {
    /// The key.
    pub key: String,
    /// The shape.
    pub shape: Vec<usize>,
}

/// A key with the wrong shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// The key.
    pub key: String,
    /// The shape that the model needs.
    pub expected: Vec<usize>,
    /// The shape in the file.
    pub found: Vec<usize>,
}

impl KeyProblems {
    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unused.is_empty()
            && self.misshapen.is_empty()
            && self.not_float.is_empty()
            && self.families.is_empty()
    }
}

/// How many lines of each kind an error shows.
const SHOWN: usize = 8;

impl fmt::Display for KeyProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.missing.iter().map(|t| format!("missing: {}, expected {:?}", t.key, t.shape));
        let unused = self.unused.iter().map(|t| format!("unused: {}, found {:?}", t.key, t.shape));
        let misshapen = self
            .misshapen
            .iter()
            .map(|t| format!("misshapen: {}, expected {:?}, found {:?}", t.key, t.expected, t.found));
        let not_float = self
            .not_float
            .iter()
            .map(|(key, dtype)| format!("not a float: {key}, found elements of type {dtype}"));
        let mut lines = shortened("missing", missing);
        lines.extend(shortened("unused", unused));
        lines.extend(shortened("misshapen", misshapen));
        lines.extend(shortened("not floats", not_float));
        lines.extend(self.families.iter().cloned());
        write!(f, "  {}", lines.join("\n  "))
    }
}

/// The first lines of one kind, and the total number if there are more.
fn shortened(kind: &str, lines: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let count = lines.len();
    let mut lines: Vec<String> = lines.take(SHOWN).collect();
    if count > SHOWN {
        lines.push(format!("{kind}: {} more, {count} in all", count - SHOWN));
    }
    lines
}
