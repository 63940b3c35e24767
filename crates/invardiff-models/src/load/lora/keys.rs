//! The names in LoRA files.

use std::collections::BTreeMap;

use crate::load::checkpoint::Checkpoint;

/// The suffixes of a pair's names: the matrix to the rank, the matrix from it.
const PAIRS: [[&str; 2]; 3] = [
    [".lora_A.weight", ".lora_B.weight"],
    [".lora_down.weight", ".lora_up.weight"],
    [".lora.down.weight", ".lora.up.weight"],
];

/// The suffix of the number that scales a pair.
const ALPHA: &str = ".alpha";

/// Prefixes of a transformer's layers, which differ between the programs that write LoRA files.
const PREFIXES: [&str; 6] = [
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "lora_unet_",
    "lora_transformer_",
];

/// The keys of one layer. Both names of a pair are there even if one half is missing.
pub(super) struct Parts {
    /// The layer's name in the file, without prefix and suffix.
    pub(super) name: String,
    /// The matrix to the rank.
    pub(super) down: String,
    /// The matrix from the rank.
    pub(super) up: String,
    /// The number that scales the pair.
    pub(super) alpha: Option<String>,
}

impl Parts {
    /// All names.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        [&self.down, &self.up].into_iter().chain(&self.alpha)
    }
}

/// Pairs by the flat names of their layers, and the keys that belong to none.
pub(super) fn gather(checkpoint: &Checkpoint) -> (BTreeMap<String, Parts>, Vec<String>) {
    let (mut parts, mut alphas) = (BTreeMap::<String, Parts>::new(), Vec::new());
    let mut strange = Vec::new();
    for key in checkpoint.keys() {
        if let Some(stem) = key.strip_suffix(ALPHA) {
            alphas.push((stem, key));
            continue;
        }
        let found = PAIRS.iter().find_map(|pair| {
            let stem = pair.iter().find_map(|end| key.strip_suffix(end))?;
            Some((stem, pair.map(|end| format!("{stem}{end}"))))
        });
        let Some((stem, [down, up])) = found else {
            strange.push(key.to_owned());
            continue;
        };
        let name = bare(stem);
        let new = Parts { name: name.to_owned(), down, up, alpha: None };
        let known = parts.entry(flat(name)).or_insert(new);
        if ![&known.down, &known.up].contains(&&key.to_owned()) {
            // The same layer under a second name.
            strange.push(key.to_owned());
        }
    }
    for (stem, key) in alphas {
        match parts.get_mut(&flat(bare(stem))) {
            Some(parts) if parts.alpha.is_none() => parts.alpha = Some(key.to_owned()),
            Some(_) | None => strange.push(key.to_owned()),
        }
    }
    (parts, strange)
}

/// A layer's name without prefixes.
fn bare(stem: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| stem.strip_prefix(prefix)).map_or(stem, bare)
}

/// A layer's name with dots replaced by underscores, as some programs write it.
pub(super) fn flat(name: &str) -> String {
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
            "transformer_blocks.0.attn.to_q",
        ] {
            assert_eq!(flat(bare(stem)), "transformer_blocks_0_attn_to_q", "{stem}");
        }
    }
}
