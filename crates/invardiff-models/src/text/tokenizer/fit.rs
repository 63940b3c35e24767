//! Truncation and padding to one length.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use invardiff_plan::files;
use tokenizers::Tokenizer;

use super::{Encoded, TokenizerError, known};

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
    let text = files::read_text(path, known::LARGEST)
        .map_err(|source| TokenizerError::Io { file: file.clone(), source })?;
    let opened = known::check(text.as_bytes()).and_then(|()| guarded(|| Tokenizer::from_bytes(text)));
    opened.map_err(|error| TokenizerError::Format { file, detail: format!("no tokenizer: {error}") })
}

/// Runs the library, which panics on some invalid files; a panic becomes an error.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the library stopped at it".to_owned()),
    }
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
        let empty = guarded(|| tokenizer.encode("", true)).map_err(refuse)?;
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
        let refuse = |detail: String| TokenizerError::Prompt { detail };
        let encoding = guarded(|| self.tokenizer.encode(prompt, true)).map_err(refuse)?;
        let mut ids = encoding.get_ids().to_vec();
        let mut cut = None;
        if ids.len() > self.length {
            let over = &ids[self.length - 1..ids.len() - 1];
            cut = Some(guarded(|| self.tokenizer.decode(over, false)).map_err(refuse)?);
            ids.truncate(self.length - 1);
            ids.push(self.end);
        }
        let tokens = ids.len();
        ids.resize(self.length, self.pad);
        Ok(Encoded { ids, tokens, cut })
    }
}
