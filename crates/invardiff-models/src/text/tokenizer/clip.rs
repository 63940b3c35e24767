//! The tokenizer of CLIP.

use std::collections::BTreeMap;
use std::path::Path;

use invardiff_plan::{encoding, files};
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, NormalizerWrapper, Replace, Sequence};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreSequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::fit::{self, Fit};
use super::settings::Settings;
use super::{Encoded, TokenizerError, known};

/// The words of CLIP: contractions, runs of letters, single digits, runs of anything else.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
/// The suffix of a word's last token.
const WORD_END: &str = "</w>";
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// Tokens per prompt unless the tokenizer's settings say otherwise.
const LENGTH: usize = 77;

/// The tokenizer of a CLIP text model: byte-pair encoding of the lower-cased prompt, from a `tokenizer.json` or from
/// `vocab.json` and `merges.txt`.
#[derive(Clone, Debug)]
pub struct ClipTokenizer(Fit);

impl ClipTokenizer {
    /// Opens a `tokenizer.json` or a folder (`tokenizer` of FLUX.1) with either `tokenizer.json` or `vocab.json` and `merges.txt`.
    /// Prompts are cut and padded to the `model_max_length` in the `tokenizer_config.json` beside it, or 77 tokens.
    ///
    /// # Errors
    /// [`TokenizerError`] names the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let whole = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let folder = whole.parent().unwrap_or(Path::new(""));
        let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let settings = Settings::beside(folder)?;
        let (tokenizer, file) = if whole.is_file() {
            (fit::open(&whole)?, whole)
        } else if path.is_dir() && vocab.is_file() && merges.is_file() {
            (assemble(&vocab, &merges, &settings)?, vocab)
        } else {
            let detail = "there is neither a tokenizer.json nor a vocab.json with merges.txt".into();
            return Err(TokenizerError::NotFound { path: path.display().to_string(), detail });
        };
        let (pad, length) = (settings.pad().unwrap_or(END), settings.max_length().unwrap_or(LENGTH));
        Ok(Self(Fit::new(tokenizer, file.display().to_string(), 2, pad, length)?))
    }

    /// The ids of a prompt: start token, tokens, end token, padding.
    ///
    /// # Errors
    /// [`TokenizerError::Prompt`] when the tokenizer refuses it.
    pub fn encode(&self, prompt: &str) -> Result<Encoded, TokenizerError> {
        let encoded = self.0.encode(prompt)?;
        let cut = encoded.cut.map(|cut| cut.replace(WORD_END, " ").trim().to_owned());
        Ok(Encoded { cut, ..encoded })
    }

    /// The number of ids per prompt.
    pub fn max_length(&self) -> usize {
        self.0.length()
    }
}

/// Builds a tokenizer from a vocabulary and its merges, as the transformers library does.
fn assemble(vocab: &Path, merges: &Path, settings: &Settings) -> Result<Tokenizer, TokenizerError> {
    let file = format!("{} and merges.txt", vocab.display());
    let refuse = |detail: String| TokenizerError::Format { file: file.clone(), detail };
    let no_tokenizer = |error: tokenizers::Error| refuse(format!("no tokenizer: {error}"));
    let [start, end, unknown] =
        [settings.bos().unwrap_or(START), settings.eos().unwrap_or(END), settings.unk().unwrap_or(END)];
    let model = BPE::builder()
        .vocab_and_merges(read_vocab(vocab)?, read_merges(merges)?)
        .unk_token(unknown.to_owned())
        .end_of_word_suffix(WORD_END.to_owned())
        .build()
        .map_err(no_tokenizer)?;
    let mut tokenizer = Tokenizer::new(model);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ").map_err(no_tokenizer)?;
    let normalizers: Vec<NormalizerWrapper> = vec![NFC.into(), spaces.into(), Lowercase.into()];
    tokenizer.with_normalizer(Some(Sequence::new(normalizers)));
    let words = Split::new(SplitPattern::Regex(WORDS.into()), SplitDelimiterBehavior::Removed, true)
        .map_err(no_tokenizer)?;
    let bytes = ByteLevel::new(false, true, true);
    let steps: Vec<PreTokenizerWrapper> = vec![words.into(), bytes.into()];
    tokenizer.with_pre_tokenizer(Some(PreSequence::new(steps)));
    tokenizer.with_decoder(Some(bytes));
    let id = |token: &str| {
        tokenizer.token_to_id(token).ok_or_else(|| refuse(format!("the vocabulary does not have '{token}'")))
    };
    let frame = RobertaProcessing::new((end.to_owned(), id(end)?), (start.to_owned(), id(start)?));
    tokenizer.with_post_processor(Some(frame.trim_offsets(false).add_prefix_space(false)));
    tokenizer.add_special_tokens(&[start, end].map(|token| AddedToken::from(token, true)));
    Ok(tokenizer)
}

fn read(path: &Path) -> Result<String, TokenizerError> {
    let failed = |source| TokenizerError::Io { file: path.display().to_string(), source };
    files::read_text(path, known::LARGEST).map_err(failed)
}

/// The ids of tokens in a `vocab.json`.
fn read_vocab(path: &Path) -> Result<Vocab, TokenizerError> {
    let ids: BTreeMap<String, u32> =
        serde_json::from_str(&read(path)?).map_err(|error| TokenizerError::Format {
            file: path.display().to_string(),
            detail: format!("no vocabulary, an object of tokens and their ids: {error}"),
        })?;
    Ok(ids.into_iter().collect())
}

/// The pairs of a `merges.txt`, one a line, of which those that begin with `#version` are notes.
fn read_merges(path: &Path) -> Result<Merges, TokenizerError> {
    let text = read(path)?;
    let pair = |line: &str| {
        let mut parts = line.split_whitespace();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(first), Some(second), None) => Ok((first.to_owned(), second.to_owned())),
            _ => Err(TokenizerError::Format {
                file: path.display().to_string(),
                detail: format!("'{}' is no pair of tokens", line.chars().take(40).collect::<String>()),
            }),
        }
    };
    encoding::lines(&text).filter(|line| !line.starts_with("#version")).map(pair).collect()
}
