//! A tiny FLUX transformer in both layouts.

use burn::tensor::Device;
use invardiff_models::Flux;
use serde_json::{Value, json};

use super::{Tensors, needed};

/// The sizes of a tiny FLUX.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) double: usize,
    pub(crate) single: usize,
    pub(crate) heads: usize,
    /// Whether it is told a guidance scale.
    pub(crate) guidance: bool,
}

impl Sizes {
    pub(crate) const TINY: Self = Self { double: 2, single: 3, heads: 2, guidance: true };
    /// As many blocks as the published model, so that published plans fit it.
    pub(crate) const DEEP: Self = Self { double: 19, single: 38, heads: 1, guidance: true };

    /// Channels of a token.
    fn hidden(self) -> usize {
        16 * self.heads
    }

    /// Channels of a prompt's tokens.
    pub(crate) const T5: usize = 32;
    /// Channels of a prompt as a whole.
    pub(crate) const CLIP: usize = 24;

    pub(crate) fn flux(self) -> Value {
        json!({
            "_class_name": "FluxTransformer2DModel", "attention_head_dim": 16, "axes_dims_rope": [4, 6, 6],
            "guidance_embeds": self.guidance, "in_channels": 64, "joint_attention_dim": Self::T5,
            "num_attention_heads": self.heads, "num_layers": self.double, "num_single_layers": self.single,
            "patch_size": 1, "pooled_projection_dim": Self::CLIP,
        })
    }
}

/// The names of Black Forest Labs.
pub(super) fn original(sizes: &Sizes) -> Tensors {
    let signature = ("img_in.weight", &[sizes.hidden(), 64][..]);
    needed(&sizes.flux(), &[signature], |path| Flux::load(path, &Device::flex()))
}

/// The names of diffusers, the values those of the original.
pub(super) fn diffusers(sizes: &Sizes) -> Tensors {
    let (original, hidden) = (original(sizes), sizes.hidden());
    let signature = ("time_text_embed.timestep_embedder.linear_1.weight", &[hidden, 256][..]);
    let needed = needed(&sizes.flux(), &[signature], |path| Flux::load(path, &Device::flex()));
    needed
        .into_iter()
        .map(|(name, (shape, _))| {
            let (key, start) = place(&name, hidden);
            let (whole, values) = original.get(&key).unwrap_or_else(|| panic!("{name} is {key}?"));
            let (row, length) = (whole[1..].iter().product::<usize>(), shape.iter().product::<usize>());
            // Scale and shift of the output layer stand the other way round.
            let values = if name.contains("norm_out") {
                [&values[length / 2..], &values[..length / 2]].concat()
            } else {
                values[start * row..start * row + length].to_vec()
            };
            (name, (shape, values))
        })
        .collect()
}

/// Where diffusers' tensor is in the original: its key, and the first of its rows.
fn place(name: &str, hidden: usize) -> (String, usize) {
    let (stem, field) = name.rsplit_once('.').unwrap();
    let third = |part: &str| match part.trim_start_matches("add_").trim_start_matches("to_").chars().next() {
        Some('q') => 0,
        Some('k') => hidden,
        Some('v') => 2 * hidden,
        _ => panic!("{name}"),
    };
    let parts: Vec<&str> = stem.split('.').collect();
    match parts[..] {
        ["x_embedder"] => (format!("img_in.{field}"), 0),
        ["context_embedder"] => (format!("txt_in.{field}"), 0),
        ["norm_out", "linear"] => (format!("final_layer.adaLN_modulation.1.{field}"), 0),
        ["proj_out"] => (format!("final_layer.linear.{field}"), 0),
        ["time_text_embed", embedder, linear] => {
            let embedder = match embedder {
                "timestep_embedder" => "time_in",
                "guidance_embedder" => "guidance_in",
                _ => "vector_in",
            };
            let layer = if linear == "linear_1" { "in_layer" } else { "out_layer" };
            (format!("{embedder}.{layer}.{field}"), 0)
        }
        ["transformer_blocks", layer, ref part @ ..] => {
            let (part, start) = match part {
                ["norm1", "linear"] => (format!("img_mod.lin.{field}"), 0),
                ["norm1_context", "linear"] => (format!("txt_mod.lin.{field}"), 0),
                ["attn", "norm_q"] => ("img_attn.norm.query_norm.scale".to_owned(), 0),
                ["attn", "norm_k"] => ("img_attn.norm.key_norm.scale".to_owned(), 0),
                ["attn", "norm_added_q"] => ("txt_attn.norm.query_norm.scale".to_owned(), 0),
                ["attn", "norm_added_k"] => ("txt_attn.norm.key_norm.scale".to_owned(), 0),
                ["attn", "to_out", "0"] => (format!("img_attn.proj.{field}"), 0),
                ["attn", "to_add_out"] => (format!("txt_attn.proj.{field}"), 0),
                ["attn", map] if map.starts_with("add") => (format!("txt_attn.qkv.{field}"), third(map)),
                ["attn", map] => (format!("img_attn.qkv.{field}"), third(map)),
                ["ff", "net", "0", "proj"] => (format!("img_mlp.0.{field}"), 0),
                ["ff", "net", "2"] => (format!("img_mlp.2.{field}"), 0),
                ["ff_context", "net", "0", "proj"] => (format!("txt_mlp.0.{field}"), 0),
                ["ff_context", "net", "2"] => (format!("txt_mlp.2.{field}"), 0),
                _ => panic!("{name}"),
            };
            (format!("double_blocks.{layer}.{part}"), start)
        }
        ["single_transformer_blocks", layer, ref part @ ..] => {
            let (part, start) = match part {
                ["norm", "linear"] => (format!("modulation.lin.{field}"), 0),
                ["attn", "norm_q"] => ("norm.query_norm.scale".to_owned(), 0),
                ["attn", "norm_k"] => ("norm.key_norm.scale".to_owned(), 0),
                ["attn", map] => (format!("linear1.{field}"), third(map)),
                ["proj_mlp"] => (format!("linear1.{field}"), 3 * hidden),
                ["proj_out"] => (format!("linear2.{field}"), 0),
                _ => panic!("{name}"),
            };
            (format!("single_blocks.{layer}.{part}"), start)
        }
        _ => panic!("{name}"),
    }
}
