//! The tokenizer of T5.

use std::path::Path;

use super::fit::{self, Fit};
use super::settings::Settings;
use super::{Encoded, TokenizerError};

/// The tokenizer of a T5 encoder: a SentencePiece unigram model, from a `tokenizer.json`.
#[derive(Clone, Debug)]
pub struct T5Tokenizer(Fit);

impl T5Tokenizer {
    /// Opens a `tokenizer.json`, or the one in a folder (`tokenizer_2` of FLUX.1). Prompts are truncated and padded to
    /// `max_sequence_length` tokens: 512 in FLUX.1-dev, 256 in FLUX.1-schnell.
    ///
    /// # Errors
    /// [`TokenizerError`] names the file or the length.
    pub fn load(path: impl AsRef<Path>, max_sequence_length: usize) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        if !file.is_file() {
            let detail = "there is no tokenizer.json; a spiece.model alone is not read: save the tokenizer with \
                          `save_pretrained` of the transformers library, which writes one";
            return Err(TokenizerError::NotFound { path: path.display().to_string(), detail: detail.into() });
        }
        let settings = Settings::beside(file.parent().unwrap_or(Path::new("")))?;
        let (tokenizer, name) = (fit::open(&file)?, file.display().to_string());
        let pad = settings.pad().unwrap_or("<pad>");
        Ok(Self(Fit::new(tokenizer, name, 1, pad, max_sequence_length)?))
    }

    /// The ids of a prompt: tokens, end token, padding.
    ///
    /// # Errors
    /// [`TokenizerError::Prompt`] when the vocabulary has neither a token for a character nor one for unknown characters.
    pub fn encode(&self, prompt: &str) -> Result<Encoded, TokenizerError> {
        self.0.encode(prompt)
    }

    /// The number of ids per prompt.
    pub fn max_length(&self) -> usize {
        self.0.length()
    }
}
