//! The names of a DiT's weights in files.

use crate::dit::DitConfig;
use crate::load::layout::KeyLayout;
use crate::load::source::Source;

/// For each naming, a key that every model has.
pub(crate) const SIGNATURES: [(KeyLayout, &str); 2] =
    [(KeyLayout::Original, "x_embedder.proj.weight"), (KeyLayout::Diffusers, "pos_embed.proj.weight")];

/// Where `layout` stores the weight with this name in the original state dict.
pub(crate) fn source(layout: KeyLayout, key: &str, config: &DitConfig) -> Source {
    match layout {
        KeyLayout::Original | KeyLayout::LlamaCpp => Source::Key(key.to_owned()),
        KeyLayout::Diffusers if key == "pos_embed" => Source::Positions(Box::new(config.clone())),
        KeyLayout::Diffusers => diffusers(key, config.depth),
    }
}

/// Names of diffusers' layout. Queries, keys and values are separate; the embedders of timestep and class are stored in every
/// block, with the same values.
fn diffusers(key: &str, depth: usize) -> Source {
    if let Some(rest) = key.strip_prefix("blocks.")
        && let Some((layer, part)) = rest.split_once('.')
    {
        return block(layer, part);
    }
    let copies = |name: &str| {
        Source::Copies((0..depth).map(|i| format!("transformer_blocks.{i}.norm1.emb.{name}")).collect())
    };
    let (stem, field) = key.rsplit_once('.').unwrap_or((key, ""));
    match stem {
        "x_embedder.proj" => Source::Key(format!("pos_embed.proj.{field}")),
        "t_embedder.mlp.0" => copies(&format!("timestep_embedder.linear_1.{field}")),
        "t_embedder.mlp.2" => copies(&format!("timestep_embedder.linear_2.{field}")),
        "y_embedder.embedding_table" => copies(&format!("class_embedder.embedding_table.{field}")),
        "final_layer.adaLN_modulation.1" => Source::Key(format!("proj_out_1.{field}")),
        "final_layer.linear" => Source::Key(format!("proj_out_2.{field}")),
        _ => Source::Key(key.to_owned()),
    }
}

fn block(layer: &str, part: &str) -> Source {
    let name = |part: &str| format!("transformer_blocks.{layer}.{part}");
    let (stem, field) = part.rsplit_once('.').unwrap_or((part, ""));
    match stem {
        "attn.qkv" => {
            Source::Rows(["to_q", "to_k", "to_v"].map(|map| name(&format!("attn1.{map}.{field}"))).into())
        }
        "attn.proj" => Source::Key(name(&format!("attn1.to_out.0.{field}"))),
        "mlp.fc1" => Source::Key(name(&format!("ff.net.0.proj.{field}"))),
        "mlp.fc2" => Source::Key(name(&format!("ff.net.2.{field}"))),
        "adaLN_modulation.1" => Source::Key(name(&format!("norm1.linear.{field}"))),
        _ => Source::Key(name(part)),
    }
}
