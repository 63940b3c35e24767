//! Tiny models with seeded weights, written as the public ones are: FLUX as a diffusers folder and in its original files,
//! DiT as a diffusers folder.
//!
//! Which tensors a file needs, and of what shapes, the loaders say themselves when they are given an empty one; what links
//! the two layouts of one model is spelled out here once more, apart from the loaders.

mod autoencoder;
mod text;
mod transformer;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use invardiff_models::LoadError;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

pub(crate) use text::CLIP_TOKENS;
pub(crate) use transformer::Sizes;

/// Named tensors: shapes and values.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

pub(crate) fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub(crate) fn write_tensors(path: &Path, tensors: &Tensors) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bytes: BTreeMap<&str, Vec<u8>> = tensors
        .iter()
        .map(|(name, (_, values))| {
            (name.as_str(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
        })
        .collect();
    let views = tensors.iter().map(|(name, (shape, _))| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), &bytes[name.as_str()]).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The tensors that a loader misses in a file that has these alone, with values that depend on their names.
pub(crate) fn needed<T>(
    config: &Value,
    signature: &[(&str, &[usize])],
    load: impl Fn(&Path) -> Result<T, LoadError>,
) -> Tensors {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors: Tensors =
        signature.iter().map(|(name, shape)| ((*name).to_owned(), seeded(name, shape))).collect();
    write(folder.path(), "config.json", &config.to_string());
    let path = folder.path().join("model.safetensors");
    write_tensors(&path, &tensors);
    match load(&path).err().unwrap() {
        LoadError::Keys { problems, .. } => {
            assert!(problems.unused.is_empty() && problems.misshapen.is_empty(), "{problems}");
            tensors.extend(problems.missing.into_iter().map(|tensor| {
                let value = seeded(&tensor.key, &tensor.shape);
                (tensor.key, value)
            }));
            tensors
        }
        other => panic!("{other}"),
    }
}

/// Uniform values that depend on the name, of a deviation that keeps activations at about one; about one for the scales of
/// norms.
fn seeded(name: &str, shape: &[usize]) -> (Vec<usize>, Vec<f32>) {
    let fan_in: usize = shape[1..].iter().product();
    let (deviation, mean) = match shape.len() {
        1 if name.contains("norm") && !name.ends_with("bias") => (0.1, 1.0),
        1 => (0.1, 0.0),
        _ => ((fan_in as f32).sqrt().recip(), 0.0),
    };
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let values = (0..shape.iter().product()).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
        mean + unit * 12f32.sqrt() * deviation
    });
    (shape.to_vec(), values.collect())
}

/// A FLUX model as a diffusers folder.
pub(crate) fn write_flux(folder: &Path, sizes: &Sizes) {
    let index = json!({
        "_class_name": "FluxPipeline", "_diffusers_version": "0.30.0.dev0",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "text_encoder_2": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "FluxTransformer2DModel"], "vae": ["diffusers", "AutoencoderKL"],
    });
    write(folder, "model_index.json", &index.to_string());
    let scheduler = json!({
        "_class_name": "FlowMatchEulerDiscreteScheduler", "base_image_seq_len": 256, "base_shift": 0.5,
        "max_image_seq_len": 4096, "max_shift": 1.15, "num_train_timesteps": 1000, "shift": 3.0,
        "use_dynamic_shifting": true,
    });
    write(folder, "scheduler/scheduler_config.json", &scheduler.to_string());
    let weights = "diffusion_pytorch_model.safetensors";
    write(folder, "transformer/config.json", &sizes.flux().to_string());
    write_tensors(&folder.join("transformer").join(weights), &transformer::diffusers(sizes));
    write(folder, "vae/config.json", &autoencoder::config(16).to_string());
    write_tensors(&folder.join("vae").join(weights), &autoencoder::diffusers(16));
    text::write_all(folder, sizes);
}

/// The same model in its original files, with the text encoders beside them. Sizes that are not published stand in
/// `config.json` and `ae.json`.
pub(crate) fn write_original_flux(folder: &Path, sizes: &Sizes) {
    write(folder, "config.json", &sizes.flux().to_string());
    write_tensors(&folder.join("flux1-dev.safetensors"), &transformer::original(sizes));
    write(folder, "ae.json", &autoencoder::config(16).to_string());
    write_tensors(&folder.join("ae.safetensors"), &autoencoder::original(16));
    text::write_all(folder, sizes);
}

/// A DiT as a diffusers folder, with an autoencoder: that of the stored tests, 8 x 8 latents of 10 classes.
pub(crate) fn write_dit(folder: &Path) {
    write(folder, "model_index.json", &json!({"_class_name": "DiTPipeline"}).to_string());
    let scheduler = json!({
        "_class_name": "DDIMScheduler", "beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001,
        "clip_sample": false, "num_train_timesteps": 1000, "prediction_type": "epsilon", "set_alpha_to_one": true,
        "steps_offset": 0, "trained_betas": null,
    });
    write(folder, "scheduler/scheduler_config.json", &scheduler.to_string());
    let stored =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../invardiff-models/tests/data/dit_tiny_diffusers");
    fs::create_dir_all(folder.join("transformer")).unwrap();
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
        fs::copy(stored.join(name), folder.join("transformer").join(name)).unwrap();
    }
    write(folder, "vae/config.json", &autoencoder::config(4).to_string());
    let weights = folder.join("vae/diffusion_pytorch_model.safetensors");
    write_tensors(&weights, &autoencoder::diffusers(4));
}
