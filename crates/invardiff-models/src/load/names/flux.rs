//! The names of a FLUX transformer's weights in files.

use crate::FluxConfig;
use crate::load::layout::KeyLayout;
use crate::load::source::Source;

/// For each naming, a key that every model has.
pub(crate) const SIGNATURES: [(KeyLayout, &str); 2] = [
    (KeyLayout::Original, "img_in.weight"),
    (KeyLayout::Diffusers, "time_text_embed.timestep_embedder.linear_1.weight"),
];

/// Where `layout` stores the weight that [`Flux`](crate::Flux) asks for by this name when it is built.
pub(crate) fn source(layout: KeyLayout, key: &str, config: &FluxConfig) -> Source {
    let single = key.strip_prefix("single_blocks.").and_then(|rest| rest.split_once('.'));
    let double = key.strip_prefix("double_blocks.").and_then(|rest| rest.split_once('.'));
    match (layout, single, double) {
        (KeyLayout::Original | KeyLayout::LlamaCpp, Some((layer, part)), _) => {
            original_single(layer, part, config)
        }
        (KeyLayout::Original | KeyLayout::LlamaCpp, None, _) => Source::Key(key.to_owned()),
        (KeyLayout::Diffusers, Some((layer, part)), _) => diffusers_single(layer, part, config),
        (KeyLayout::Diffusers, None, Some((layer, part))) => diffusers_double(layer, part),
        (KeyLayout::Diffusers, None, None) => diffusers_outer(key),
    }
}

/// The original fuses the input layers of a single-stream block (`linear1`, with rows q, k, v, feed-forward) and its output
/// layers (`linear2`, with columns attention, feed-forward).
fn original_single(layer: &str, part: &str, config: &FluxConfig) -> Source {
    let (dim, hidden) = (config.hidden_size(), config.mlp_hidden());
    let name = |part: &str| format!("single_blocks.{layer}.{part}");
    let (stem, field) = part.rsplit_once('.').unwrap_or((part, ""));
    let rows = |start| {
        let (key, whole) = (name(&format!("linear1.{field}")), 3 * dim + hidden);
        Source::Part { key, axis: 0, start, whole }
    };
    match stem {
        "qkv" => rows(0),
        "mlp_in" => rows(3 * dim),
        "attn_out" => columns(name("linear2.weight"), 0, config),
        "mlp_out" => columns(name("linear2.weight"), dim, config),
        "out" => Source::Key(name(&format!("linear2.{field}"))),
        _ => Source::Key(name(part)),
    }
}

/// Columns of the projection of a single-stream block; its inputs are attention, then feed-forward.
fn columns(key: String, start: usize, config: &FluxConfig) -> Source {
    Source::Part { key, axis: 1, start, whole: config.hidden_size() + config.mlp_hidden() }
}

fn diffusers_single(layer: &str, part: &str, config: &FluxConfig) -> Source {
    let name = |part: &str| format!("single_transformer_blocks.{layer}.{part}");
    let (stem, field) = part.rsplit_once('.').unwrap_or((part, ""));
    match stem {
        "modulation.lin" => Source::Key(name(&format!("norm.linear.{field}"))),
        "norm.query_norm" => Source::Key(name("attn.norm_q.weight")),
        "norm.key_norm" => Source::Key(name("attn.norm_k.weight")),
        "qkv" => {
            Source::Rows(["to_q", "to_k", "to_v"].map(|map| name(&format!("attn.{map}.{field}"))).into())
        }
        "mlp_in" => Source::Key(name(&format!("proj_mlp.{field}"))),
        "attn_out" => columns(name("proj_out.weight"), 0, config),
        "mlp_out" => columns(name("proj_out.weight"), config.hidden_size(), config),
        "out" => Source::Key(name(&format!("proj_out.{field}"))),
        _ => Source::Key(name(part)),
    }
}

fn diffusers_double(layer: &str, part: &str) -> Source {
    let name = |part: &str| format!("transformer_blocks.{layer}.{part}");
    let (stem, field) = part.rsplit_once('.').unwrap_or((part, ""));
    let rows = |maps: [&str; 3]| Source::Rows(maps.map(|map| name(&format!("attn.{map}.{field}"))).into());
    let stem = match stem {
        "img_attn.qkv" => return rows(["to_q", "to_k", "to_v"]),
        "txt_attn.qkv" => return rows(["add_q_proj", "add_k_proj", "add_v_proj"]),
        "img_attn.norm.query_norm" => return Source::Key(name("attn.norm_q.weight")),
        "img_attn.norm.key_norm" => return Source::Key(name("attn.norm_k.weight")),
        "txt_attn.norm.query_norm" => return Source::Key(name("attn.norm_added_q.weight")),
        "txt_attn.norm.key_norm" => return Source::Key(name("attn.norm_added_k.weight")),
        "img_mod.lin" => "norm1.linear",
        "txt_mod.lin" => "norm1_context.linear",
        "img_attn.proj" => "attn.to_out.0",
        "txt_attn.proj" => "attn.to_add_out",
        "img_mlp.0" => "ff.net.0.proj",
        "img_mlp.2" => "ff.net.2",
        "txt_mlp.0" => "ff_context.net.0.proj",
        "txt_mlp.2" => "ff_context.net.2",
        _ => stem,
    };
    Source::Key(name(&format!("{stem}.{field}")))
}

/// Names outside the blocks. The modulation of the output layer has shift before scale in the original, and scale before
/// shift in diffusers.
fn diffusers_outer(key: &str) -> Source {
    let (stem, field) = key.rsplit_once('.').unwrap_or((key, ""));
    let embedder = |name: &str, layer: u8| format!("time_text_embed.{name}_embedder.linear_{layer}.{field}");
    Source::Key(match stem {
        "img_in" => format!("x_embedder.{field}"),
        "txt_in" => format!("context_embedder.{field}"),
        "time_in.in_layer" => embedder("timestep", 1),
        "time_in.out_layer" => embedder("timestep", 2),
        "guidance_in.in_layer" => embedder("guidance", 1),
        "guidance_in.out_layer" => embedder("guidance", 2),
        "vector_in.in_layer" => embedder("text", 1),
        "vector_in.out_layer" => embedder("text", 2),
        "final_layer.adaLN_modulation.1" => return Source::Swapped(format!("norm_out.linear.{field}")),
        "final_layer.linear" => format!("proj_out.{field}"),
        _ => key.to_owned(),
    })
}
