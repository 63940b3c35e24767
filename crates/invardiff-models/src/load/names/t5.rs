//! The names of a T5 encoder's weights in files.

use crate::load::checkpoint::Checkpoint;
use crate::load::layout::KeyLayout;
use crate::load::source::Source;

/// For each naming, a key that every model has.
pub(crate) const SIGNATURES: [(KeyLayout, &str); 2] = [
    (KeyLayout::Diffusers, "encoder.block.0.layer.0.SelfAttention.q.weight"),
    (KeyLayout::LlamaCpp, "enc.blk.0.attn_q.weight"),
];

/// The names under which files keep the token table: one of them, or both with the same values.
const TABLES: [&str; 2] = ["shared.weight", "encoder.embed_tokens.weight"];

/// Keys that are not weights of the encoder: the decoder of a whole T5 model, and tokenizer data in some files.
pub(crate) fn is_other(key: &str) -> bool {
    ["decoder.", "dec.", "lm_head."].iter().any(|prefix| key.starts_with(prefix))
        || ["spiece_model", "output.weight"].contains(&key)
}

/// Where `layout` stores the weight with this name in the transformers library.
pub(crate) fn source(layout: KeyLayout, key: &str, checkpoint: &Checkpoint) -> Source {
    match layout {
        KeyLayout::LlamaCpp => Source::Key(llama(key)),
        KeyLayout::Original | KeyLayout::Diffusers => {
            let tables = TABLES.into_iter().filter(|table| checkpoint.shape(table).is_some());
            let tables: Vec<String> = tables.map(str::to_owned).collect();
            match key {
                "shared.weight" if !tables.is_empty() => Source::Copies(tables),
                key => Source::Key(key.to_owned()),
            }
        }
    }
}

fn llama(key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    let part = match parts[..] {
        ["shared", _] => return "token_embd.weight".into(),
        ["encoder", "final_layer_norm", _] => return "enc.output_norm.weight".into(),
        [.., "relative_attention_bias", _] => "attn_rel_b",
        [.., "layer", "0", "layer_norm", _] => "attn_norm",
        [.., "layer", "1", "layer_norm", _] => "ffn_norm",
        [.., "SelfAttention", map, _] => return format!("enc.blk.{}.attn_{map}.weight", parts[2]),
        [.., "wi_0", _] => "ffn_gate",
        [.., "wi_1", _] => "ffn_up",
        [.., "wo", _] => "ffn_down",
        _ => return key.to_owned(),
    };
    format!("enc.blk.{}.{part}.weight", parts[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_cpp_has_names_of_its_own() {
        for (key, expected) in [
            ("shared.weight", "token_embd.weight"),
            ("encoder.block.3.layer.0.SelfAttention.o.weight", "enc.blk.3.attn_o.weight"),
            (
                "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                "enc.blk.0.attn_rel_b.weight",
            ),
            ("encoder.block.3.layer.0.layer_norm.weight", "enc.blk.3.attn_norm.weight"),
            ("encoder.block.3.layer.1.layer_norm.weight", "enc.blk.3.ffn_norm.weight"),
            ("encoder.block.3.layer.1.DenseReluDense.wi_0.weight", "enc.blk.3.ffn_gate.weight"),
            ("encoder.block.3.layer.1.DenseReluDense.wi_1.weight", "enc.blk.3.ffn_up.weight"),
            ("encoder.block.3.layer.1.DenseReluDense.wo.weight", "enc.blk.3.ffn_down.weight"),
            ("encoder.final_layer_norm.weight", "enc.output_norm.weight"),
        ] {
            assert_eq!(llama(key), expected);
        }
    }
}
