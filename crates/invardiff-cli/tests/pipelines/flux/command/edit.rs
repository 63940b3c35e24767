//! Edits of an image through the command: FLUX.1-Kontext and FLUX.1-Fill.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use invardiff::{Caching, EditImage, ModelFacts, Sampling, TextToImage, TextToImageOptions};
use invardiff_models::Flux;
use invardiff_plan::CachePlan;
use invardiff_runtime::Denoiser;
use serde_json::Value;

use super::super::{copy_into, models};
use super::draw;
use crate::command::{Png, error};
use crate::tiny::{needed, write, write_tensors};

/// The tiny model as a pipeline of another class; its parts are those of the plain one.
fn pipeline(folder: &Path, class: &str) -> PathBuf {
    let (plain, own) = (models().diffusers(), folder.join(class));
    copy_into(&plain, &own);
    let index = std::fs::read_to_string(plain.join("model_index.json")).unwrap();
    write(&own, "model_index.json", &index.replace("FluxPipeline", class));
    own
}

/// The same with a transformer that fills in.
fn fill(folder: &Path) -> PathBuf {
    let own = pipeline(folder, "FluxFillPipeline");
    let config = std::fs::read_to_string(own.join("transformer/config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    (config["in_channels"], config["out_channels"]) = (384.into(), 64.into());
    write(&own, "transformer/config.json", &config.to_string());
    let signature = ("time_text_embed.timestep_embedder.linear_1.weight", &[32, 256][..]);
    let tensors = needed(&config, &[signature], |path| Flux::load(path, &Device::flex()));
    write_tensors(&own.join("transformer/diffusion_pytorch_model.safetensors"), &tensors);
    own
}

fn grey(folder: &Path, name: &str, level: impl Fn(u32, u32) -> u8) -> PathBuf {
    let path = folder.join(name);
    image::GrayImage::from_fn(64, 48, |x, y| image::Luma([level(x, y)])).save(&path).unwrap();
    path
}

#[test]
fn a_reference_image_changes_what_is_drawn_and_binds_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = pipeline(here, "FluxKontextPipeline");
    let [dark, light] = [("dark.png", 20), ("light.png", 220)]
        .map(|(name, level)| grey(here, name, |x, y| level + (x + y) as u8 % 30).display().to_string());
    let (said, _) = draw(here, &model, "plain.png", &[]);
    assert!(said.contains("1 images of flux-2+3x32"), "{said}");
    let (said, noted) = draw(here, &model, "a.png", &["--image", &dark]);
    assert!(said.contains("1 images of flux-2+3x32-kontext"), "{said}");
    assert!(noted.contains("encoding the image"), "{noted}");
    draw(here, &model, "b.png", &["--image", &light]);
    draw(here, &model, "c.png", &["--image", &dark]);
    let [plain, a, b, c] = ["plain.png", "a.png", "b.png", "c.png"].map(|name| Png::read(&here.join(name)));
    assert_eq!(a.size, (64, 48));
    assert!(a.bytes == c.bytes && a.bytes != b.bytes && a.bytes != plain.bytes);

    let options = |image: Option<&str>| TextToImageOptions {
        height: 48,
        width: 64,
        num_inference_steps: Some(4),
        max_sequence_length: Some(16),
        image: image.map(|path| EditImage::open(path, None).unwrap()),
        ..TextToImageOptions::default()
    };
    let open = |image: Option<&str>| {
        TextToImage::from_pretrained(
            model.to_str().unwrap(),
            &["a red cat"],
            &options(image),
            &Device::flex(),
        )
        .unwrap()
    };
    let (own, mut edit) = (open(None), open(Some(&dark)));
    let skipping = |pipeline: &TextToImage| {
        let mut plan = CachePlan::gate_only(&pipeline.denoiser().topology(), vec![false, true, false, true]);
        plan.provenance.execution = Some(pipeline.execution());
        plan
    };
    let message = edit.enable_cache(&skipping(&own)).unwrap_err().to_string();
    assert!(message.contains("model is flux-2+3x32 in the plan and flux-2+3x32-kontext here"), "{message}");
    let plan = skipping(&edit);
    edit.enable_cache(&plan).unwrap();
    let (_, peak) = edit.generate_measured(edit.prompts(), &[0]).unwrap();
    assert_eq!(peak, plan.schedule(&edit.denoiser().topology()).unwrap().peak_bytes(1, 4));
}

#[test]
fn a_mask_says_where_an_image_is_drawn_anew() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = fill(here);
    let text = |path: PathBuf| path.display().to_string();
    let image = text(grey(here, "image.png", |x, y| (x * 3 + y) as u8));
    let [left, right] = [false, true].map(|right| {
        text(grey(here, &format!("mask{right}.png"), |x, _| if (x >= 32) == right { 255 } else { 0 }))
    });
    let (said, _) = draw(here, &model, "a.png", &["--image", &image, "--mask-image", &left]);
    assert!(said.contains("flux-2+3x32-fill") && said.contains("guidance 30"), "{said}");
    draw(here, &model, "b.png", &["--image", &image, "--mask-image", &right]);
    let [a, b] = ["a.png", "b.png"].map(|name| Png::read(&here.join(name)));
    assert!(a.size == (64, 48) && a.bytes != b.bytes);
}

#[test]
fn images_for_other_models_are_refused_before_anything_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let text = |path: PathBuf| path.display().to_string();
    let image = text(grey(here, "image.png", |x, _| x as u8));
    let message = |model: &Path, more: &[&str]| {
        let model = model.display().to_string();
        let few = ["generate", "--prompt", "a red cat", "--out", "x.png", "--model", &model];
        error(here, &[&few[..], more].concat())
    };
    let found = message(&models().diffusers(), &["--image", &image]);
    assert!(found.contains("--image is taken by FLUX.1-Kontext and FLUX.1-Fill"), "{found}");
    let kontext = pipeline(here, "FluxKontextPipeline");
    let found = message(&kontext, &["--image", &image, "--mask-image", &image]);
    assert!(found.contains("--mask-image is taken by FLUX.1-Fill"), "{found}");
    let found = message(&kontext, &["--image", "missing.png"]);
    assert!(found.contains("--image") && found.contains("missing.png"), "{found}");
    let fill = fill(here);
    let found = message(&fill, &["--image", &image]);
    assert!(
        found.contains("--mask-image is missing: flux-2+3x32-fill draws anew where it is white"),
        "{found}"
    );
    assert!(message(&fill, &[]).contains("--image is missing"));
    let redux = pipeline(here, "FluxPriorReduxPipeline");
    let found = message(&redux, &[]);
    assert!(found.contains("it is FLUX.1-Redux, an adapter") && found.contains("not supported"), "{found}");
    assert!(!here.join("x.png").exists());
}
