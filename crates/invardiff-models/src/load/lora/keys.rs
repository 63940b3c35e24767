//! The names in LoRA files.

use std::collections::BTreeMap;

use crate::load::checkpoint::Checkpoint;

/// The part of a pipeline that a layer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::load) enum Owner {
    /// The diffusion transformer.
    Transformer,
    /// The CLIP text encoder.
    Clip,
    /// The T5 text encoder.
    T5,
}

impl Owner {
    /// The part's name, which is also the prefix of its settings.
    pub(in crate::load) const fn name(self) -> &'static str {
        match self {
            Self::Transformer => "the transformer",
            Self::Clip => "CLIP",
            Self::T5 => "T5",
        }
    }
}

/// What a tensor is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::load) enum Role {
    /// `[rank, d_input]`
    Down,
    /// `[d_output, rank]`
    Up,
    /// The bias of the matrix from the rank, `[d_output]`.
    UpBias,
    /// The number that scales the change.
    Alpha,
    /// The magnitudes of DoRA, one per row or one per column.
    Magnitude,
    /// The whole change of the weight.
    Diff,
    /// The whole change of the bias.
    DiffBias,
    /// Matrices of LoHa: `(1a 1b) * (2a 2b)`, element by element.
    Hada1A,
    Hada1B,
    Hada2A,
    Hada2B,
    /// Matrices of LoKr: the Kronecker product of 1 and 2, each whole or a product of two.
    Kron1,
    Kron1A,
    Kron1B,
    Kron2,
    Kron2A,
    Kron2B,
}

/// Suffixes of keys; a suffix comes after the longer ones that end with it.
const ENDS: [(&str, Role); 33] = [
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
    (".lora_A", Role::Down),
    (".lora_B", Role::Up),
    (".lora_B.bias", Role::UpBias),
    (".lora_up.bias", Role::UpBias),
    (".alpha", Role::Alpha),
    (".dora_scale", Role::Magnitude),
    (".lora_magnitude_vector.weight", Role::Magnitude),
    (".lora_magnitude_vector", Role::Magnitude),
    (".diff_b", Role::DiffBias),
    (".diff", Role::Diff),
    (".hada_w1_a", Role::Hada1A),
    (".hada_w1_b", Role::Hada1B),
    (".hada_w2_a", Role::Hada2A),
    (".hada_w2_b", Role::Hada2B),
    (".lokr_w1_a", Role::Kron1A),
    (".lokr_w1_b", Role::Kron1B),
    (".lokr_w1", Role::Kron1),
    (".lokr_w2_a", Role::Kron2A),
    (".lokr_w2_b", Role::Kron2B),
    (".lokr_w2", Role::Kron2),
    ("_lora1.down.weight", Role::Down),
    ("_lora1.up.weight", Role::Up),
    ("_lora2.down.weight", Role::Down),
];

/// Prefixes of layer names, which differ between the programs that write LoRA files, with the part of the pipeline each stands for.
const PREFIXES: [(&str, Option<Owner>); 26] = [
    ("base_model.model.", None),
    ("base_model.", None),
    ("model.diffusion_model.", Some(Owner::Transformer)),
    ("diffusion_model.", Some(Owner::Transformer)),
    ("transformer.", None),
    ("lora_unet_", Some(Owner::Transformer)),
    ("lora_transformer_", Some(Owner::Transformer)),
    ("lycoris_", None),
    ("unet.", Some(Owner::Transformer)),
    ("pipe.dit.", Some(Owner::Transformer)),
    ("dit.", Some(Owner::Transformer)),
    ("module.", None),
    ("_orig_mod.", None),
    ("model.", None),
    ("lora_te1_", Some(Owner::Clip)),
    ("lora_te2_", Some(Owner::T5)),
    ("lora_te3_", Some(Owner::T5)),
    ("lora_te_", Some(Owner::Clip)),
    ("text_encoders.clip_l.", Some(Owner::Clip)),
    ("text_encoders.t5xxl.", Some(Owner::T5)),
    ("text_encoder_2.", Some(Owner::T5)),
    ("text_encoder.", Some(Owner::Clip)),
    ("clip_l.", Some(Owner::Clip)),
    ("t5xxl.", Some(Owner::T5)),
    ("text_model.", Some(Owner::Clip)),
    ("text_model_", Some(Owner::Clip)),
];

/// The tensors of one layer.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// The layer's name in the file, without prefix and suffix.
    pub(super) name: String,
    /// Keys by their role.
    pub(super) keys: BTreeMap<Role, String>,
}

/// Layers by their part and flat name.
pub(super) type Layers = BTreeMap<(Owner, String), Parts>;

/// All layers of a file, and the keys that belong to none.
pub(super) fn gather(checkpoint: &Checkpoint) -> (Layers, Vec<String>) {
    let (mut layers, mut strange) = (Layers::new(), Vec::new());
    for key in checkpoint.keys() {
        let plain = without_adapter(key);
        let found = ENDS.iter().find_map(|(end, role)| Some((plain.strip_suffix(end)?, end, *role)));
        let xlabs2 =
            || plain.strip_suffix("_lora2.up.weight").map(|stem| (stem, &"_lora2.up.weight", Role::Up));
        let Some((stem, end, role)) = found.or_else(xlabs2) else {
            strange.push(key.to_owned());
            continue;
        };
        let (owner, name) = bare(stem.trim_end_matches('_'));
        let name = xlabs(name, end).unwrap_or_else(|| name.to_owned());
        let layer =
            layers.entry((owner, flat(&name))).or_insert_with(|| Parts { name, keys: BTreeMap::new() });
        // A second key of one role is the same layer under a second name.
        if let Some(second) = layer.keys.insert(role, key.to_owned()) {
            strange.push(second);
        }
    }
    (layers, strange)
}

/// A key with its adapter's name removed, which PEFT puts before the last word: `lora_A.default.weight`.
fn without_adapter(key: &str) -> String {
    const BEFORE: [&str; 5] = ["lora_A", "lora_B", "lora_down", "lora_up", "lora_magnitude_vector"];
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        [.., before, _, last @ ("weight" | "bias")] if BEFORE.contains(&before) => {
            let stem = parts[..parts.len() - 2].join(".");
            format!("{stem}.{last}")
        }
        [.., "lora_magnitude_vector", last] if last != "weight" => parts[..parts.len() - 1].join("."),
        _ => key.to_owned(),
    }
}

/// The layers of XLabs' attention processors, by their number: 1 is the image, 2 the prompt.
fn xlabs(name: &str, end: &str) -> Option<String> {
    let (block, map) = name.split_once(".processor.")?;
    let stream = match end.split('.').next()? {
        "_lora1" => "img_attn",
        "_lora2" => "txt_attn",
        _ => {
            let map = if map == "qkv" { "qkv" } else { "linear2" };
            return Some(format!("{block}.{map}"));
        }
    };
    Some(format!("{block}.{stream}.{map}"))
}

/// A layer's name without prefixes, and the part that they name: the transformer, unless they or the name say otherwise.
fn bare(mut stem: &str) -> (Owner, &str) {
    let mut owner = None;
    while let Some((prefix, of)) = PREFIXES.iter().find(|(prefix, _)| stem.starts_with(prefix)) {
        stem = &stem[prefix.len()..];
        owner = of.or(owner);
    }
    let is_t5 = stem.starts_with("encoder.block.") || stem.starts_with("encoder_block_");
    (owner.unwrap_or(if is_t5 { Owner::T5 } else { Owner::Transformer }), stem)
}

/// A layer's name with dots replaced by underscores, as some programs write it.
pub(in crate::load) fn flat(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_removed() {
        for stem in [
            "transformer.transformer_blocks.0.attn.to_q",
            "base_model.model.transformer_blocks.0.attn.to_q",
            "base_model.model.transformer.transformer_blocks.0.attn.to_q",
            "diffusion_model.transformer_blocks.0.attn.to_q",
            "lora_transformer_transformer_blocks_0_attn_to_q",
            "lycoris_transformer_blocks_0_attn_to_q",
            "pipe.dit.transformer_blocks.0.attn.to_q",
            "transformer_blocks.0.attn.to_q",
        ] {
            let (owner, name) = bare(stem);
            assert_eq!(
                (owner, flat(name).as_str()),
                (Owner::Transformer, "transformer_blocks_0_attn_to_q"),
                "{stem}"
            );
        }
    }

    #[test]
    fn parts_are_told_by_prefixes_and_names() {
        for (stem, owner, name) in [
            ("lora_te1_text_model_encoder_layers_0_mlp_fc1", Owner::Clip, "encoder_layers_0_mlp_fc1"),
            ("text_encoder.text_model.encoder.layers.0.mlp.fc1", Owner::Clip, "encoder.layers.0.mlp.fc1"),
            (
                "lora_te3_encoder_block_0_layer_0_SelfAttention_q",
                Owner::T5,
                "encoder_block_0_layer_0_SelfAttention_q",
            ),
            (
                "base_model.model.encoder.block.0.layer.0.SelfAttention.q",
                Owner::T5,
                "encoder.block.0.layer.0.SelfAttention.q",
            ),
        ] {
            assert_eq!(bare(stem), (owner, name));
        }
    }

    #[test]
    fn adapters_have_names() {
        let found = without_adapter("a.lora_A.default.weight");
        assert_eq!(found, "a.lora_A.weight");
        assert_eq!(without_adapter("a.lora_A.weight"), "a.lora_A.weight");
        assert_eq!(without_adapter("a.lora_magnitude_vector.default"), "a.lora_magnitude_vector");
    }
}
