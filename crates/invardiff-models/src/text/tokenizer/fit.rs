//! Truncation and padding to one length.

use std::path::Path;

use tokenizers::Tokenizer;

use super::{Encoded, TokenizerError};

/// A tokenizer that truncates and pads every prompt to one length.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    tokenizer: Tokenizer,
    length: usize,
    /// The padding token.
    pad: u32,
    /// The token that ends every prompt.
    end: u32,
}

/// Opens a `tokenizer.json`.
pub(super) fn open(path: &Path) -> Result<Tokenizer, TokenizerError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| TokenizerError::Io { file: file.clone(), source })?;
    Tokenizer::from_bytes(bytes)
        .map_err(|error| TokenizerError::Format { file, detail: format!("no tokenizer: {error}") })
}

impl Fit {
    /// `special` is the number of start and end tokens of every prompt; `file` is named in errors.
    pub(super) fn new(
        mut tokenizer: Tokenizer,
        file: String,
        special: usize,
        pad: &str,
        length: usize,
    ) -> Result<Self, TokenizerError> {
        let refuse = |detail| TokenizerError::Format { file: file.clone(), detail };
        // Truncation and padding are done here, so that the truncated text is known.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| refuse(error.to_string()))?;
        let empty = tokenizer.encode("", true).map_err(|error| refuse(error.to_string()))?;
        let end = match empty.get_ids() {
            ids if ids.len() == special => ids[special - 1],
            ids => {
                return Err(refuse(format!(
                    "it makes {} tokens of no prompt, expected {special}: those that begin and end one",
                    ids.len()
                )));
            }
        };
        let Some(pad) = tokenizer.token_to_id(pad) else {
            return Err(refuse(format!("it does not have the padding token '{pad}'")));
        };
        if length <= special {
            return Err(TokenizerError::Length { length, special });
        }
        Ok(Self { tokenizer, length, pad, end })
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Truncates long prompts before their end token, as the reference does, and pads short ones.
    pub(super) fn encode(&self, prompt: &str) -> Result<Encoded, TokenizerError> {
        let refuse = |error: tokenizers::Error| TokenizerError::Prompt { detail: error.to_string() };
        let encoding = self.tokenizer.encode(prompt, true).map_err(refuse)?;
        let mut ids = encoding.get_ids().to_vec();
        let mut cut = None;
        if ids.len() > self.length {
            let over = &ids[self.length - 1..ids.len() - 1];
            cut = Some(self.tokenizer.decode(over, false).map_err(refuse)?);
            ids.truncate(self.length - 1);
            ids.push(self.end);
        }
        let tokens = ids.len();
        ids.resize(self.length, self.pad);
        Ok(Encoded { ids, tokens, cut })
    }
}
