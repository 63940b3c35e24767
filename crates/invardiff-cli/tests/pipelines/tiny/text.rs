//! Tiny text encoders with their tokenizers.

use std::path::Path;

use burn::tensor::Device;
use invardiff_models::{ClipText, T5Encoder};
use serde_json::{Value, json};

use super::transformer::Sizes;
use super::{needed, write, write_tensors};

/// Tokens of a prompt that CLIP reads.
pub(crate) const CLIP_TOKENS: usize = 12;

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz,.'";
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

pub(super) fn write_all(folder: &Path, _: &Sizes) {
    write_clip(&folder.join("text_encoder"), &folder.join("tokenizer"));
    write_t5(&folder.join("text_encoder_2"), &folder.join("tokenizer_2"));
}

/// CLIP over single letters.
fn write_clip(model: &Path, tokenizer: &Path) {
    let letters = LETTERS.chars().map(String::from);
    let ends = LETTERS.chars().map(|letter| format!("{letter}</w>"));
    let tokens: Vec<String> = letters.chain(ends).chain([START.to_owned(), END.to_owned()]).collect();
    let vocabulary: serde_json::Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect();
    write(tokenizer, "vocab.json", &Value::from(vocabulary).to_string());
    write(tokenizer, "merges.txt", "#version: 0.2\n");
    let settings = json!({
        "bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END, "model_max_length": CLIP_TOKENS,
    });
    write(tokenizer, "tokenizer_config.json", &settings.to_string());
    let config = json!({
        "architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "hidden_act": "quick_gelu",
        "hidden_size": Sizes::CLIP, "intermediate_size": 2 * Sizes::CLIP, "layer_norm_eps": 1e-5,
        "max_position_embeddings": CLIP_TOKENS, "num_attention_heads": 3, "num_hidden_layers": 2,
        "vocab_size": tokens.len(), "bos_token_id": tokens.len() - 2, "eos_token_id": tokens.len() - 1,
        "pad_token_id": tokens.len() - 1,
    });
    write(model, "config.json", &config.to_string());
    let signature: (&str, &[usize]) = ("encoder.layers.0.self_attn.q_proj.weight", &[Sizes::CLIP; 2]);
    let tensors = needed(&config, &[signature], |path| ClipText::load(path, &Device::flex()));
    write_tensors(&model.join("model.safetensors"), &tensors);
}

/// T5 over single letters.
fn write_t5(model: &Path, tokenizer: &Path) {
    let special = ["<pad>", "</s>", "<unk>"];
    let pieces = special.into_iter().map(|piece| json!([piece, 0.0])).chain([json!(["▁", -2.0])]);
    let pieces: Vec<Value> = pieces.chain(LETTERS.chars().map(|letter| json!([letter, -3.0]))).collect();
    let vocabulary = pieces.len();
    let special = special.map(|content| {
        let id = ["<pad>", "</s>", "<unk>"].iter().position(|known| *known == content);
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    });
    let spaces = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let end = json!({"SpecialToken": {"id": "</s>", "type_id": 0}});
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": special, "normalizer": null,
        "pre_tokenizer": spaces, "decoder": spaces,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, end],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, end, {"Sequence": {"id": "B", "type_id": 0}}, end],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": false, "vocab": pieces},
    });
    write(tokenizer, "tokenizer.json", &document.to_string());
    let config = json!({
        "architectures": ["T5EncoderModel"], "model_type": "t5", "d_ff": 2 * Sizes::T5, "d_kv": 8, "d_model": Sizes::T5,
        "feed_forward_proj": "gated-gelu", "layer_norm_epsilon": 1e-6, "num_heads": 4, "num_layers": 2,
        "relative_attention_num_buckets": 32, "vocab_size": vocabulary,
    });
    write(model, "config.json", &config.to_string());
    // Four heads of eight channels.
    let signature: (&str, &[usize]) = ("encoder.block.0.layer.0.SelfAttention.q.weight", &[4 * 8, Sizes::T5]);
    let tensors = needed(&config, &[signature], |path| T5Encoder::load(path, &Device::flex()));
    write_tensors(&model.join("model.safetensors"), &tensors);
}
