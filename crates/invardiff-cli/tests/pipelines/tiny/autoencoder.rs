//! A tiny KL autoencoder in both layouts.

use burn::tensor::Device;
use invardiff_models::AutoencoderKl;
use serde_json::{Value, json};

use super::{Tensors, needed};

/// Channels of each resolution; three halvings make the published factor of 8.
const WIDTHS: [usize; 4] = [8, 8, 16, 16];

/// With 4 latent channels like that of DiT, with 16 like that of FLUX.
pub(super) fn config(latent_channels: usize) -> Value {
    let flux = latent_channels == 16;
    json!({
        "_class_name": "AutoencoderKL", "act_fn": "silu", "in_channels": 3, "out_channels": 3,
        "latent_channels": latent_channels, "block_out_channels": WIDTHS, "layers_per_block": 1,
        "norm_num_groups": 4, "use_quant_conv": !flux, "use_post_quant_conv": !flux,
        "scaling_factor": if flux { 0.3611 } else { 0.18215 },
        "shift_factor": if flux { Some(0.1159) } else { None },
    })
}

/// The names of the original `ae.safetensors`.
pub(super) fn original(latent_channels: usize) -> Tensors {
    let signature = ("decoder.mid.block_1.norm1.weight", &WIDTHS[3..]);
    let mut tensors =
        needed(&config(latent_channels), &[signature], |path| AutoencoderKl::load(path, &Device::flex()));
    // The maps of attention are convolutions of single pixels there.
    for (name, (shape, _)) in &mut tensors {
        if name.contains(".attn_1.") && shape.len() == 2 {
            shape.extend([1, 1]);
        }
    }
    tensors
}

/// The names of diffusers, the values those of the original.
pub(super) fn diffusers(latent_channels: usize) -> Tensors {
    let original = original(latent_channels);
    let signature = ("decoder.mid_block.resnets.0.norm1.weight", &WIDTHS[3..]);
    let needed =
        needed(&config(latent_channels), &[signature], |path| AutoencoderKl::load(path, &Device::flex()));
    needed
        .into_iter()
        .map(|(name, (shape, _))| {
            let key = key(&name);
            let (_, values) = original.get(&key).unwrap_or_else(|| panic!("{name} is {key}?"));
            (name, (shape, values.clone()))
        })
        .collect()
}

fn key(name: &str) -> String {
    let mut key = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut");
    for (from, to) in [
        ("mid_block.resnets.0", "mid.block_1"),
        ("mid_block.resnets.1", "mid.block_2"),
        ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
        ("mid_block.attentions.0.to_q", "mid.attn_1.q"),
        ("mid_block.attentions.0.to_k", "mid.attn_1.k"),
        ("mid_block.attentions.0.to_v", "mid.attn_1.v"),
        ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
        (".resnets.", ".block."),
        ("downsamplers.0.conv", "downsample.conv"),
        ("upsamplers.0.conv", "upsample.conv"),
        ("down_blocks.", "down."),
    ] {
        key = key.replace(from, to);
    }
    for index in 0..WIDTHS.len() {
        key = key.replace(&format!("up_blocks.{index}."), &format!("up.{}.", WIDTHS.len() - 1 - index));
    }
    key
}
