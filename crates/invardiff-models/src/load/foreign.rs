//! Says what a file holds, where it is not the weights of the expected model.

use super::checkpoint::Checkpoint;
use super::family::Family;
use super::layout::KeyLayout;
use super::{names, quantised};

/// Keys that identify other models and files, with the message for each.
const KNOWN: [(&str, &str); 15] = [
    (".lora_A.weight", "a LoRA: give it with the model that it changes"),
    (".lora_down.weight", "a LoRA: give it with the model that it changes"),
    (
        "redux_up.weight",
        "FLUX.1 Redux, an adapter that turns images into prompts, which is not supported: use FLUX.1-dev",
    ),
    (
        "redux_down.weight",
        "FLUX.1 Redux, an adapter that turns images into prompts, which is not supported: use FLUX.1-dev",
    ),
    ("distilled_guidance_layer.in_proj.weight", "Chroma, which is not supported"),
    ("double_stream_modulation_img.lin.weight", "FLUX.2, which is not supported"),
    ("double_stream_modulation_img.linear.weight", "FLUX.2, which is not supported"),
    ("joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3, which is not supported"),
    ("input_blocks.0.0.weight", "a Stable Diffusion UNet, which is not supported"),
    ("down_blocks.0.resnets.0.conv1.weight", "a Stable Diffusion UNet, which is not supported"),
    ("adaln_single.linear.weight", "a PixArt transformer, which is not supported"),
    ("cap_embedder.1.weight", "a Lumina or Z-Image transformer, which is not supported"),
    ("patch_embedding.weight", "a Wan transformer, which is not supported"),
    ("controlnet_x_embedder.weight", "a ControlNet of FLUX, which is not supported"),
    ("taesd_decoder.1.weight", "a tiny autoencoder (TAESD), which is not supported"),
];

/// How many of the file's keys an error shows.
const SHOWN: usize = 3;

/// Why a checkpoint without a key of [`Family::SIGNATURES`] is refused.
pub(super) fn refusal<M: Family>(checkpoint: &Checkpoint) -> String {
    let signature =
        |layout: KeyLayout| M::SIGNATURES.iter().find(|(other, _)| *other == layout).map(|(_, key)| *key);
    let [original, diffusers] = [KeyLayout::Original, KeyLayout::Diffusers].map(signature);
    let lacks = match (original, diffusers) {
        (Some(original), Some(diffusers)) => {
            format!("it has neither '{original}' (original) nor '{diffusers}' (diffusers)")
        }
        (one, other) => format!("it lacks '{}'", one.or(other).unwrap_or_default()),
    };
    let what = other_family::<M>(checkpoint)
        .map_or(String::new(), |what| format!("these are the weights of {what}; "));
    let known = KNOWN.iter().find(|(end, _)| checkpoint.keys().any(|key| key.ends_with(end)));
    match (known, quantised::refusal(checkpoint.keys())) {
        (_, Some(quantised)) => format!("no {}: {quantised}", M::NAME),
        (Some((_, known)), None) if what.is_empty() => format!("no {}: it is {known}", M::NAME),
        _ => format!("no {}: {what}{lacks}; {}", M::NAME, shown(checkpoint)),
    }
}

/// The first keys of the file, for the message.
pub(super) fn shown(checkpoint: &Checkpoint) -> String {
    let keys: Vec<String> = checkpoint.keys().take(SHOWN).map(|key| format!("'{key}'")).collect();
    match checkpoint.keys().count() {
        0 => "it has no tensors".into(),
        count => format!("its {count} keys begin with {}", keys.join(", ")),
    }
}

/// The model of this crate that the weights belong to, if it is another one.
fn other_family<M: Family>(checkpoint: &Checkpoint) -> Option<&'static str> {
    let families = [
        ("a FLUX transformer", "FLUX", &names::flux::SIGNATURES[..]),
        ("a DiT", "DiT", &names::dit::SIGNATURES[..]),
        ("a KL autoencoder", "KL autoencoder", &names::vae::SIGNATURES[..]),
        ("a T5 encoder", "T5 encoder", &names::t5::SIGNATURES[..]),
        ("a CLIP text model", "CLIP text model", &names::clip::SIGNATURES[..]),
    ];
    let found = families
        .iter()
        .find(|(_, name, signatures)| *name != M::NAME && !checkpoint.sections(signatures).is_empty());
    found.map(|(what, ..)| *what)
}

/// Why a checkpoint that is neither DiT nor FLUX is refused.
pub(super) fn no_transformer(checkpoint: &Checkpoint) -> String {
    let known = KNOWN.iter().find(|(end, _)| checkpoint.keys().any(|key| key.ends_with(end)));
    if let Some(quantised) = quantised::refusal(checkpoint.keys()) {
        return quantised;
    }
    if let Some((_, known)) = known {
        return format!("neither a DiT nor a FLUX transformer: it is {known}");
    }
    let keys = names::dit::SIGNATURES.iter().chain(&names::flux::SIGNATURES).map(|(_, key)| *key);
    let keys: Vec<&str> = keys.collect();
    format!(
        "neither a DiT nor a FLUX transformer: it has none of '{}'; {}",
        keys.join("', '"),
        shown(checkpoint)
    )
}
