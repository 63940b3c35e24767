//! The settings file beside a tokenizer.

use std::path::Path;

use invardiff_plan::files;
use serde::Deserialize;

use super::TokenizerError;

/// The `tokenizer_config.json` of the transformers library; every setting is optional.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Settings {
    bos_token: Option<Special>,
    eos_token: Option<Special>,
    unk_token: Option<Special>,
    pad_token: Option<Special>,
    /// Tokenizers without a limit have 1e30.
    model_max_length: Option<f64>,
}

/// A token, written as its text or as an object.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Special {
    Text(String),
    Object { content: String },
}

/// Limits above this number mean no limit.
const LONGEST: f64 = 1e6;

impl Settings {
    pub(super) fn beside(folder: &Path) -> Result<Self, TokenizerError> {
        let path = folder.join("tokenizer_config.json");
        if !path.is_file() {
            return Ok(Self::default());
        }
        let file = path.display().to_string();
        let text = files::read_text(&path, files::SETTINGS_LIMIT)
            .map_err(|source| TokenizerError::Io { file: file.clone(), source })?;
        serde_json::from_str(&text).map_err(|error| TokenizerError::Format {
            file,
            detail: format!("no settings of a tokenizer: {error}"),
        })
    }

    pub(super) fn bos(&self) -> Option<&str> {
        self.bos_token.as_ref().map(Special::text)
    }

    pub(super) fn eos(&self) -> Option<&str> {
        self.eos_token.as_ref().map(Special::text)
    }

    pub(super) fn unk(&self) -> Option<&str> {
        self.unk_token.as_ref().map(Special::text)
    }

    pub(super) fn pad(&self) -> Option<&str> {
        self.pad_token.as_ref().map(Special::text)
    }

    /// The largest number of tokens per prompt, if there is a limit.
    pub(super) fn max_length(&self) -> Option<usize> {
        self.model_max_length.filter(|length| (1.0..LONGEST).contains(length)).map(|length| length as usize)
    }
}

impl Special {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Object { content: text } => text,
        }
    }
}
