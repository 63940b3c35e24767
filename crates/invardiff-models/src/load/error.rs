//! Why weights were not loaded.

use std::fmt;

use crate::ConfigError;

/// Why a model could not be loaded. Nothing is ever partly loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file that cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A path where no weights are.
    #[error("{path}: {detail}")]
    NotFound {
        /// The path as given.
        path: String,
        /// What was looked for.
        detail: String,
    },
    /// A file that does not follow its format: truncated, too long, or something else altogether.
    #[error("{file}: {detail}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// A configuration file with something wrong in it.
    #[error("{file}: {source}")]
    Config {
        /// The configuration file, or the weights that a configuration was read off.
        file: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// Weights without a configuration that do not say all that is needed.
    #[error("{file}: {detail}; put a config.json beside the weights")]
    NotInferred {
        /// The weights' file.
        file: String,
        /// What cannot be read off the shapes.
        detail: String,
    },
    /// Keys that do not fit the model; lists every one.
    #[error("{file}: the weights do not fit {model}\n{problems}")]
    Keys {
        /// The file.
        file: String,
        /// The model's name.
        model: String,
        /// All that does not fit.
        problems: Box<KeyProblems>,
    },
    /// Copies of one weight that should be equal.
    #[error(
        "{file}: '{key}' differs from '{first}': the layout stores one copy a block, and they must be equal"
    )]
    Copies {
        /// The file.
        file: String,
        /// The first key that differs.
        key: String,
        /// The key that it should equal.
        first: String,
    },
}

/// Every key that does not fit, in the names of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyProblems {
    /// Keys that the model needs and the file lacks, with the expected shape.
    pub missing: Vec<FoundTensor>,
    /// Keys of the file that the model has no use for, with their shape.
    pub unused: Vec<FoundTensor>,
    /// Keys with the wrong shape.
    pub misshapen: Vec<Misshapen>,
    /// Keys whose elements are no floats, as (key, element type).
    pub not_float: Vec<(String, String)>,
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
    }
}

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
        let lines: Vec<String> = missing.chain(unused).chain(misshapen).chain(not_float).collect();
        write!(f, "  {}", lines.join("\n  "))
    }
}
