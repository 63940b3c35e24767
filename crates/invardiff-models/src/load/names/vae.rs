//! The names of a KL autoencoder's weights in files.

use crate::VaeConfig;
use crate::load::checkpoint::Checkpoint;
use crate::load::layout::KeyLayout;
use crate::load::source::Source;

/// For each naming, a key that every model has.
pub(crate) const SIGNATURES: [(KeyLayout, &str); 2] = [
    (KeyLayout::Original, "decoder.mid.block_1.norm1.weight"),
    (KeyLayout::Diffusers, "decoder.mid_block.resnets.0.norm1.weight"),
];

/// Keys of training files that are not weights of the model.
pub(crate) fn is_other(key: &str) -> bool {
    key.starts_with("loss.") || key.starts_with("model_ema.")
}

/// Where `layout` stores the weight with this name in diffusers' state dict.
pub(crate) fn source(layout: KeyLayout, key: &str, config: &VaeConfig, checkpoint: &Checkpoint) -> Source {
    let name = match layout {
        KeyLayout::Original | KeyLayout::LlamaCpp => original(key, config.block_out_channels.len()),
        KeyLayout::Diffusers => older_attention(key)
            .filter(|older| checkpoint.shape(key).is_none() && checkpoint.shape(older).is_some())
            .unwrap_or_else(|| key.to_owned()),
    };
    // The linear layers of attention may be stored as 1 x 1 convolutions.
    let is_conv = checkpoint.shape(&name).is_some_and(|shape| shape.len() == 4);
    if is_conv && key.contains(".attentions.") { Source::Pointwise(name) } else { Source::Key(name) }
}

/// The name that a linear layer of attention had in diffusers before version 0.12.
fn older_attention(key: &str) -> Option<String> {
    let (stem, part) = key.split_once(".attentions.0.")?;
    let (part, field) = part.rsplit_once('.')?;
    let part = match part {
        "to_q" => "query",
        "to_k" => "key",
        "to_v" => "value",
        "to_out.0" => "proj_attn",
        _ => return None,
    };
    Some(format!("{stem}.attentions.0.{part}.{field}"))
}

/// The original numbers the decoder's resolutions like the encoder's, starting at the image's.
fn original(key: &str, resolutions: usize) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    match parts[..] {
        [side, "conv_norm_out", field] => format!("{side}.norm_out.{field}"),
        [side, "mid_block", "resnets", index, part, field] => {
            let number = if index == "0" { 1 } else { 2 };
            format!("{side}.mid.block_{number}.{part}.{field}")
        }
        [side, "mid_block", "attentions", "0", part, .., field] => {
            let part = match part {
                "group_norm" => "norm",
                "to_q" => "q",
                "to_k" => "k",
                "to_v" => "v",
                _ => "proj_out",
            };
            format!("{side}.mid.attn_1.{part}.{field}")
        }
        [side, blocks, index, "resnets", layer, part, field] => {
            let part = if part == "conv_shortcut" { "nin_shortcut" } else { part };
            format!("{side}.{}.block.{layer}.{part}.{field}", resolution(blocks, index, resolutions))
        }
        [side, blocks, index, "downsamplers", "0", "conv", field] => {
            format!("{side}.{}.downsample.conv.{field}", resolution(blocks, index, resolutions))
        }
        [side, blocks, index, "upsamplers", "0", "conv", field] => {
            format!("{side}.{}.upsample.conv.{field}", resolution(blocks, index, resolutions))
        }
        _ => key.to_owned(),
    }
}

fn resolution(blocks: &str, index: &str, resolutions: usize) -> String {
    match (blocks, index.parse::<usize>()) {
        ("up_blocks", Ok(index)) => format!("up.{}", (resolutions - 1).saturating_sub(index)),
        _ => format!("down.{index}"),
    }
}
