//! Which parts of the format a `tokenizer.json` may use: those that CLIP's and T5's use. The format allows more, such as replacements
//! that turn a word into a gigabyte, and maps on which the library panics.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The most bytes of a file (those of FLUX.1 have 2.5 MB), and the most JSON objects in it.
pub(super) const LARGEST: usize = 8 << 20;
const MOST_OBJECTS: usize = 20_000;
/// The most processing steps in a sequence.
const MOST_STEPS: usize = 4;
/// The longest text, in bytes, that a map may put in place of a character. Unicode's own longest has 33.
const LONGEST: usize = 128;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    normalizer: Option<Normalizer>,
    #[serde(default)]
    pre_tokenizer: Option<PreTokenizer>,
    #[serde(default)]
    post_processor: Option<PostProcessor>,
    #[serde(default)]
    decoder: Option<Decoder>,
    model: Model,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Normalizer {
    #[serde(rename = "NFC")]
    Nfc(IgnoredAny),
    #[serde(rename = "NFKC")]
    Nfkc(IgnoredAny),
    Lowercase(IgnoredAny),
    Strip(IgnoredAny),
    Precompiled {
        precompiled_charsmap: String,
    },
    Replace {
        pattern: Pattern,
        content: String,
    },
    Sequence {
        normalizers: Vec<Normalizer>,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PreTokenizer {
    ByteLevel(IgnoredAny),
    Metaspace(IgnoredAny),
    WhitespaceSplit(IgnoredAny),
    Split { pattern: Pattern },
    Sequence { pretokenizers: Vec<PreTokenizer> },
}

#[derive(Deserialize)]
enum Pattern {
    String(IgnoredAny),
    Regex(String),
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PostProcessor {
    ByteLevel(IgnoredAny),
    RobertaProcessing(IgnoredAny),
    TemplateProcessing { single: Vec<Piece> },
}

#[derive(Deserialize)]
enum Piece {
    Sequence(IgnoredAny),
    SpecialToken(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Decoder {
    ByteLevel(IgnoredAny),
    Metaspace(IgnoredAny),
    #[serde(rename = "BPEDecoder")]
    WordEnds(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Model {
    #[serde(rename = "BPE")]
    Bpe(IgnoredAny),
    Unigram(IgnoredAny),
}

/// Refuses a `tokenizer.json` that uses more of the format than CLIP's and T5's do; the error says what.
pub(super) fn check(text: &[u8]) -> Result<(), String> {
    let objects = text.split(|byte| *byte == b'{').count() - 1;
    if objects > MOST_OBJECTS {
        return Err(format!("{objects} objects in it, expected at most {MOST_OBJECTS}"));
    }
    let document: Document = serde_json::from_slice(text)
        .map_err(|error| format!("it asks for what the tokenizers of CLIP and T5 do not: {error}"))?;
    let Document { normalizer, pre_tokenizer, post_processor, decoder, model } = document;
    match (decoder, model) {
        (
            None | Some(Decoder::ByteLevel(_) | Decoder::Metaspace(_) | Decoder::WordEnds(_)),
            Model::Bpe(_) | Model::Unigram(_),
        ) => {}
    }
    normalizer.iter().try_for_each(Normalizer::check)?;
    pre_tokenizer.iter().try_for_each(PreTokenizer::check)?;
    match post_processor {
        None | Some(PostProcessor::ByteLevel(_) | PostProcessor::RobertaProcessing(_)) => Ok(()),
        Some(PostProcessor::TemplateProcessing { single }) => {
            match single.iter().filter(|piece| matches!(piece, Piece::Sequence(_))).count() {
                1 => Ok(()),
                times => Err(format!("its template has the prompt {times} times")),
            }
        }
    }
}

impl Normalizer {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Nfc(_) | Self::Nfkc(_) | Self::Lowercase(_) | Self::Strip(_) => Ok(()),
            Self::Precompiled { precompiled_charsmap } => map(precompiled_charsmap),
            Self::Replace { pattern, content } => {
                if content.chars().count() > 1 {
                    return Err("its normalizer puts several characters in place of what it finds".into());
                }
                pattern.check()
            }
            Self::Sequence { normalizers } => few(normalizers.len()).and_then(|()| {
                normalizers.iter().try_for_each(|step| match step {
                    Self::Sequence { .. } => Err("its normalizer has sequences in a sequence".into()),
                    step => step.check(),
                })
            }),
        }
    }
}

impl PreTokenizer {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::ByteLevel(_) | Self::Metaspace(_) | Self::WhitespaceSplit(_) => Ok(()),
            Self::Split { pattern } => pattern.check(),
            Self::Sequence { pretokenizers } => {
                few(pretokenizers.len())?;
                pretokenizers.iter().try_for_each(Self::check)
            }
        }
    }
}

fn few(steps: usize) -> Result<(), String> {
    if steps <= MOST_STEPS {
        return Ok(());
    }
    Err(format!("{steps} steps one after another, expected at most {MOST_STEPS}"))
}

impl Pattern {
    /// Patterns that are matched in one pass: without look-around and back-references.
    fn check(&self) -> Result<(), String> {
        let Self::Regex(regex) = self else { return Ok(()) };
        let back = regex
            .as_bytes()
            .windows(2)
            .any(|pair| pair[0] == b'\\' && (pair[1].is_ascii_digit() || pair[1] == b'k'));
        if back || regex.contains("(?") || regex.len() > 1000 {
            return Err(format!(
                "its pattern is long, looks around or back: {}",
                regex.chars().take(80).collect::<String>()
            ));
        }
        Ok(())
    }
}

/// Refuses a map of characters (SentencePiece's: the length of a table, the table, texts that end with a zero) that cannot be one, or
/// puts long texts in place of characters.
fn map(base64: &str) -> Result<(), String> {
    let wrong = |what: &str| format!("its map of characters (precompiled_charsmap) {what}");
    let bytes = STANDARD.decode(base64).map_err(|_| wrong("is no base64"))?;
    let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| wrong("is cut short"))?;
    let size = u32::from_le_bytes(*size) as usize;
    if size == 0 || !size.is_multiple_of(4) || size > rest.len() {
        return Err(wrong("is cut short"));
    }
    let texts = std::str::from_utf8(&rest[size..]).map_err(|_| wrong("is no text"))?;
    if texts.split('\0').any(|text| text.len() > LONGEST) {
        return Err(wrong("puts long texts in place of characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The parts of a T5 tokenizer file, with some replaced.
    fn file(parts: Value) -> Vec<u8> {
        let mut document = json!({
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(b"\x04\0\0\0\0\0\0\0ab\0c")},
                {"type": "Strip", "strip_left": false, "strip_right": true},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u{2581}"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u{2581}"},
            ]},
            "post_processor": {"type": "TemplateProcessing", "single": [
                {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
            ]},
            "decoder": {"type": "Metaspace", "replacement": "\u{2581}"},
            "model": {"type": "Unigram", "vocab": [["a", 0.5]]},
        });
        for (key, value) in parts.as_object().unwrap() {
            document[key] = value.clone();
        }
        document.to_string().into_bytes()
    }

    #[test]
    fn what_clip_and_t5_do_is_allowed() {
        check(&file(json!({}))).unwrap();
        let words =
            r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
        check(&file(json!({
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false},
            ]},
            "post_processor": {"type": "RobertaProcessing", "sep": ["<|endoftext|>", 1]},
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": {}, "merges": []},
        })))
        .unwrap();
        check(&file(json!({"normalizer": null, "decoder": null}))).unwrap();
    }

    #[test]
    fn what_grows_or_panics_is_refused() {
        let message = |parts: Value| check(&file(parts)).unwrap_err();
        let ten = "a".repeat(10);
        let replace = json!({"type": "Replace", "pattern": {"String": "a"}, "content": ten});
        assert!(message(json!({"normalizer": replace})).contains("several characters"));
        let one = json!({"type": "Replace", "pattern": {"String": ""}, "content": "a"});
        let many = json!({"type": "Sequence", "normalizers": vec![one; 10]});
        assert!(message(json!({"normalizer": many})).contains("10 steps"));
        for (map, what) in [("AAAA", "cut short"), ("!", "no base64"), ("BAAAAAAAAAA=", "")] {
            let found =
                check(&file(json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": map}})));
            assert!(found.is_err() != what.is_empty(), "{map}: {found:?}");
            assert!(found.err().unwrap_or_default().contains(what), "{map}");
        }
        let long = STANDARD.encode([b"\x04\0\0\0\0\0\0\0".as_slice(), &[b'a'; 200]].concat());
        let long = json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": long}});
        assert!(message(long).contains("long texts"));
        let split = |regex: &str| json!({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": regex}}});
        for regex in [r"(a+)+\1", "(?=a)b", "(?<!a)b"] {
            assert!(message(split(regex)).contains("looks around or back"), "{regex}");
        }
        let twice = json!({"type": "TemplateProcessing", "single": vec![json!({"Sequence": {"id": "A", "type_id": 0}}); 2]});
        assert!(message(json!({"post_processor": twice})).contains("the prompt 2 times"));
        assert!(
            message(json!({"normalizer": {"type": "BertNormalizer"}}))
                .contains("unknown variant `BertNormalizer`")
        );
        assert!(message(json!({"model": {"type": "WordPiece"}})).contains("unknown variant `WordPiece`"));
        let objects = vec![json!({}); MOST_OBJECTS + 1];
        assert!(message(json!({"added_tokens": objects})).contains("objects in it"));
    }
}
