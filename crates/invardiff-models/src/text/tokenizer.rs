//! Tokenizers: prompts to token ids.

mod clip;
mod fit;
mod known;
mod settings;
mod t5;

pub use clip::ClipTokenizer;
pub use t5::T5Tokenizer;

/// A prompt as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The ids with start and end tokens, padded to the tokenizer's length.
    pub ids: Vec<u32>,
    /// How many of the ids are not padding.
    pub tokens: usize,
    /// The part of the prompt that was cut off, decoded from its tokens; `None` if the whole prompt fits.
    pub cut: Option<String>,
}

/// Why a tokenizer could not be opened or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// There is no tokenizer at this path.
    #[error("{path}: {detail}")]
    NotFound {
        /// The path as given.
        path: String,
        /// What was looked for.
        detail: String,
    },
    /// A file that cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file that is not a tokenizer, or not one for this model.
    #[error("{file}: {detail}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// The length leaves no room for a prompt.
    #[error("{length} tokens leave no room for a prompt: {special} begin and end it")]
    Length {
        /// The requested length.
        length: usize,
        /// Number of start and end tokens.
        special: usize,
    },
    /// The tokenizer cannot encode the prompt.
    #[error("the prompt cannot be made tokens: {detail}")]
    Prompt {
        /// The tokenizer's error.
        detail: String,
    },
}
