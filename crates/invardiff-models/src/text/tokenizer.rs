//! Prompts to token ids.

mod clip;
mod fit;
mod settings;
mod t5;

pub use clip::ClipTokenizer;
pub use t5::T5Tokenizer;

/// A prompt as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The ids, with those that begin and end the prompt, padded to the tokenizer's length.
    pub ids: Vec<u32>,
    /// How many of the ids are the prompt's; padding follows.
    pub tokens: usize,
    /// The end of the prompt that did not fit, as the tokenizer reads it back; `None` where all of it did.
    pub cut: Option<String>,
}

/// Why a tokenizer could not be opened or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A path where no tokenizer is.
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
    /// A file that is no tokenizer, or not one for this model.
    #[error("{file}: {detail}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// A length that leaves no room for a prompt.
    #[error("{length} tokens leave no room for a prompt: {special} begin and end it")]
    Length {
        /// The length asked for.
        length: usize,
        /// Tokens that begin and end every prompt.
        special: usize,
    },
    /// A prompt that the tokenizer cannot read.
    #[error("the prompt cannot be made tokens: {detail}")]
    Prompt {
        /// What the tokenizer says.
        detail: String,
    },
}
