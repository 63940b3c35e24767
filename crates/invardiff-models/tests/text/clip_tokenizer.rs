//! CLIP's tokenizer on a vocabulary of a few letters.

use std::path::Path;

use invardiff_models::{ClipTokenizer, TokenizerError};
use serde_json::{Value, json};
use tempfile::TempDir;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
const MERGES: [&str; 5] = ["r e", "re d</w>", "c a", "ca t</w>", "Ã ©</w>"];

/// Letters, letters that end a word, what the merges make of them, start and end: ids in this order.
fn vocab() -> Vec<String> {
    let letters = ["a", "c", "d", "e", "r", "t", "'", "s", "!", "1", "2", "Ã", "©"];
    let ends = letters.iter().map(|letter| format!("{letter}</w>"));
    let merged = MERGES.iter().map(|merge| merge.replace(' ', ""));
    let letters = letters.iter().map(|letter| (*letter).to_owned());
    letters.chain(ends).chain(merged).chain([START.to_owned(), END.to_owned()]).collect()
}

fn id(token: &str) -> u32 {
    vocab().iter().position(|known| known == token).unwrap_or_else(|| panic!("{token}")) as u32
}

fn vocab_json() -> Value {
    vocab()
        .into_iter()
        .enumerate()
        .map(|(id, token)| (token, id.into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// A folder with vocabulary and merges.
fn pairs(length: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "vocab.json", &vocab_json().to_string());
    write(folder.path(), "merges.txt", &format!("#version: 0.2\n{}\n", MERGES.join("\n")));
    let settings = json!({
        "bos_token": {"__type": "AddedToken", "content": START}, "eos_token": END, "unk_token": END,
        "pad_token": END, "model_max_length": length,
    });
    write(folder.path(), "tokenizer_config.json", &settings.to_string());
    folder
}

/// The same as one file, as the transformers library writes it.
fn whole(length: usize) -> TempDir {
    let folder = pairs(length);
    let special = |token: &str| {
        json!({
            "id": id(token), "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let tokenizer = json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "added_tokens": [special(START), special(END)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true}, bytes.clone(),
        ]},
        "post_processor": {
            "type": "RobertaProcessing", "sep": [END, id(END)], "cls": [START, id(START)],
            "trim_offsets": false, "add_prefix_space": false,
        },
        "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": END, "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "vocab": vocab_json(), "merges": MERGES,
        },
    });
    write(folder.path(), "tokenizer.json", &tokenizer.to_string());
    for name in ["vocab.json", "merges.txt"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    folder
}

fn both(length: usize) -> [(TempDir, ClipTokenizer); 2] {
    [pairs(length), whole(length)].map(|folder| {
        let tokenizer = ClipTokenizer::load(folder.path()).unwrap();
        (folder, tokenizer)
    })
}

/// The ids of tokens between start and end, padded with ends.
fn expected(tokens: &[&str], length: usize) -> Vec<u32> {
    let mut ids: Vec<u32> = [START].iter().chain(tokens).chain(&[END]).map(|token| id(token)).collect();
    ids.resize(length, id(END));
    ids
}

#[test]
fn words_are_lower_cased_split_and_merged() {
    for (_folder, tokenizer) in both(12) {
        assert_eq!(tokenizer.max_length(), 12);
        for (prompt, tokens) in [
            ("", &[][..]),
            ("red cat", &["red</w>", "cat</w>"]),
            ("  Red\n\t CAT ", &["red</w>", "cat</w>"]),
            ("reds", &["re", "d", "s</w>"]),
            ("cat's", &["cat</w>", "'", "s</w>"]),
            ("red!!cat", &["red</w>", "!", "!</w>", "cat</w>"]),
            ("21", &["2</w>", "1</w>"]),
            // One letter of two bytes, composed from the letter and its accent.
            ("é e\u{301}", &["Ã©</w>", "Ã©</w>"]),
            // What is not in the vocabulary is the end token.
            ("zcat", &[END, "cat</w>"]),
        ] {
            let encoded = tokenizer.encode(prompt).unwrap();
            assert_eq!(encoded.ids, expected(tokens, 12), "{prompt:?}");
            assert_eq!((encoded.tokens, encoded.cut), (tokens.len() + 2, None), "{prompt:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_cut_and_told() {
    for (_folder, tokenizer) in both(5) {
        let fits = tokenizer.encode("red cat red").unwrap();
        assert_eq!((fits.tokens, fits.cut), (5, None));
        let encoded = tokenizer.encode("red cat red CAT's reds!").unwrap();
        assert_eq!(encoded.ids, expected(&["red</w>", "cat</w>", "red</w>"], 5));
        assert_eq!((encoded.tokens, encoded.cut.as_deref()), (5, Some("cat 's reds !")));
    }
}

#[test]
fn seventy_seven_tokens_where_nothing_is_said() {
    let folder = pairs(9);
    std::fs::remove_file(folder.path().join("tokenizer_config.json")).unwrap();
    let tokenizer = ClipTokenizer::load(folder.path()).unwrap();
    assert_eq!(tokenizer.encode("red").unwrap().ids, expected(&["red</w>"], 77));
}

#[test]
fn another_padding() {
    let folder = whole(6);
    let settings = json!({"pad_token": "!", "model_max_length": 6});
    write(folder.path(), "tokenizer_config.json", &settings.to_string());
    let ids = ClipTokenizer::load(folder.path().join("tokenizer.json")).unwrap().encode("red").unwrap().ids;
    assert_eq!(ids[2..], [id(END), id("!"), id("!"), id("!")]);
}

/// Windows editors write a byte order mark and `\r\n`, PowerShell UTF-16.
#[test]
fn files_in_any_encoding_are_the_same_tokenizer() {
    let expected = expected(&["red</w>", "cat</w>"], 9);
    for make in [pairs, whole] {
        for marked in [false, true] {
            let folder = make(9);
            for entry in std::fs::read_dir(folder.path()).unwrap() {
                let path = entry.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap().replace('\n', "\r\n\r\n");
                let utf16 = || format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
                let bytes = if marked { format!("\u{feff}{text}").into_bytes() } else { utf16() };
                std::fs::write(&path, bytes).unwrap();
            }
            let tokenizer = ClipTokenizer::load(folder.path()).unwrap();
            assert_eq!(tokenizer.encode("red cat").unwrap().ids, expected);
        }
    }
}

#[test]
fn bad_files_are_named() {
    let refusal = |folder: &TempDir| ClipTokenizer::load(folder.path()).unwrap_err();
    let empty = tempfile::tempdir().unwrap();
    let error = refusal(&empty);
    assert!(
        matches!(error, TokenizerError::NotFound { .. }) && error.to_string().contains("merges.txt"),
        "{error}"
    );

    let folder = whole(8);
    write(folder.path(), "tokenizer.json", "{}");
    let message = refusal(&folder).to_string();
    assert!(message.contains("tokenizer.json: no tokenizer: "), "{message}");

    let folder = pairs(8);
    write(folder.path(), "merges.txt", "#version: 0.2\nx y\n");
    let message = refusal(&folder).to_string();
    assert!(
        message.contains("vocab.json and merges.txt: no tokenizer: ") && message.contains('x'),
        "{message}"
    );

    let folder = pairs(8);
    write(folder.path(), "merges.txt", "r e\nca\n");
    let message = refusal(&folder).to_string();
    assert!(message.contains("merges.txt: 'ca' is no pair of tokens"), "{message}");
    std::fs::write(folder.path().join("merges.txt"), b"caf\xe9").unwrap();
    let error = refusal(&folder);
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(format!("{error} {cause}").contains("neither UTF-8 nor UTF-16"), "{error} {cause}");

    let folder = pairs(8);
    write(folder.path(), "vocab.json", &vocab_json().to_string().replace("startoftext", "start"));
    let message = refusal(&folder).to_string();
    assert!(message.contains("the vocabulary does not have '<|startoftext|>'"), "{message}");

    let folder = pairs(8);
    write(folder.path(), "tokenizer_config.json", r#"{"model_max_length": 2}"#);
    let message = refusal(&folder).to_string();
    assert_eq!(message, "2 tokens leave no room for a prompt: 2 begin and end it");
    write(folder.path(), "tokenizer_config.json", r#"{"pad_token": "<pad>"}"#);
    let message = refusal(&folder).to_string();
    assert!(message.contains("it does not have the padding token '<pad>'"), "{message}");
    write(folder.path(), "tokenizer_config.json", r#"{"pad_token": 3}"#);
    let message = refusal(&folder).to_string();
    assert!(message.contains("tokenizer_config.json: no settings of a tokenizer: "), "{message}");
}
