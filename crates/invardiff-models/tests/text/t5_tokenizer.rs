//! T5's tokenizer on a vocabulary of a few pieces.

use std::path::Path;

use invardiff_models::{T5Tokenizer, TokenizerError};
use serde_json::{Value, json};
use tempfile::TempDir;

const PIECES: [(&str, f64); 9] = [
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", 0.0),
    ("▁", -2.0),
    ("▁red", -1.0),
    ("▁panda", -3.0),
    ("▁pan", -1.0),
    ("da", -1.0),
    ("Red", -4.0),
];

fn document() -> Value {
    let special = |id: usize| {
        json!({
            "id": id, "content": PIECES[id].0, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let spaces = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    json!({
        "version": "1.0", "truncation": null,
        "padding": {"strategy": {"Fixed": 3}, "direction": "Left", "pad_to_multiple_of": null,
                    "pad_id": 2, "pad_type_id": 0, "pad_token": "<unk>"},
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces.clone()]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "decoder": spaces,
        "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": false,
                  "vocab": PIECES.map(|(piece, score)| json!([piece, score]))},
    })
}

fn folder(document: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "tokenizer.json", &document.to_string());
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn the_likeliest_pieces_are_taken_and_padded() {
    let folder = folder(&document());
    let tokenizer = T5Tokenizer::load(folder.path(), 6).unwrap();
    assert_eq!(tokenizer.max_length(), 6);
    for (prompt, ids) in [
        ("", [1, 0, 0, 0, 0, 0]),
        ("red panda", [4, 6, 7, 1, 0, 0]),
        (" red \n panda  ", [4, 6, 7, 1, 0, 0]),
        ("Red", [3, 8, 1, 0, 0, 0]),
        ("red #", [4, 3, 2, 1, 0, 0]),
    ] {
        let encoded = tokenizer.encode(prompt).unwrap();
        assert_eq!(encoded.ids, ids, "{prompt:?}");
        assert_eq!(encoded.tokens, ids.iter().position(|id| *id == 1).unwrap() + 1, "{prompt:?}");
        assert_eq!(encoded.cut, None);
    }
}

#[test]
fn what_does_not_fit_is_cut_and_told() {
    let folder = folder(&document());
    let tokenizer = T5Tokenizer::load(folder.path().join("tokenizer.json"), 4).unwrap();
    let encoded = tokenizer.encode("red panda panda red").unwrap();
    assert_eq!(encoded.ids, [4, 6, 7, 1]);
    assert_eq!((encoded.tokens, encoded.cut.as_deref()), (4, Some("panda red")));
    let fits = tokenizer.encode("red panda").unwrap();
    assert_eq!((fits.tokens, fits.cut), (4, None));
}

#[test]
fn bad_files_are_named() {
    let refusal = |folder: &TempDir, length| T5Tokenizer::load(folder.path(), length).unwrap_err();
    let good = folder(&document());
    let message = refusal(&good, 1).to_string();
    assert_eq!(message, "1 tokens leave no room for a prompt: 1 begin and end it");
    write(good.path(), "tokenizer_config.json", r#"{"pad_token": "<extra>", "model_max_length": 1e30}"#);
    let message = refusal(&good, 8).to_string();
    assert!(message.contains("tokenizer.json: it does not have the padding token '<extra>'"), "{message}");

    let mut endless = document();
    endless["post_processor"] = Value::Null;
    let message = refusal(&folder(&endless), 8).to_string();
    assert!(message.contains("it makes 0 tokens of no prompt, expected 1"), "{message}");

    let mut broken = document();
    broken["model"]["unk_id"] = 99.into();
    let message = refusal(&folder(&broken), 8).to_string();
    assert!(message.contains("tokenizer.json: no tokenizer: "), "{message}");

    let empty = tempfile::tempdir().unwrap();
    let error = refusal(&empty, 8);
    assert!(matches!(error, TokenizerError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("a spiece.model alone is not read"), "{error}");
}
