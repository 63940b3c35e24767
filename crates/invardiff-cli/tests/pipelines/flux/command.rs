//! The real command.

mod bad_input;
mod edit;
mod lora;
mod plans;
#[cfg(feature = "autodiff")]
mod trained_methods;

use std::path::Path;

use burn::tensor::Device;
use invardiff::{Caching, Sampling, TextToImage, TextToImageOptions};
use invardiff_eval::rgb_images;

use super::models;
use crate::command::{Png, json, names, printed};
use crate::tiny::CLIP_TOKENS;

/// An image of few steps; `more` are further flags.
pub(super) fn draw(folder: &Path, model: &Path, out: &str, more: &[&str]) -> (String, String) {
    let few = [
        "generate",
        "--height",
        "48",
        "--width",
        "64",
        "--num-inference-steps",
        "4",
        "--max-sequence-length",
        "16",
    ];
    let asked = ["--prompt", "a red cat", "--model", model.to_str().unwrap(), "--out", out];
    printed(folder, &[&few[..], &asked, more].concat())
}

#[test]
fn both_layouts_give_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (said, noted) = draw(here, &models().diffusers(), "a.png", &["--seed", "3"]);
    assert!(said.contains("a.png: 1 images of flux-2+3x32"), "{said}");
    assert!(said.contains("flow-match-euler, 4 steps, guidance 3.5"), "{said}");
    for part in [
        "memory\n",
        "transformer's weights",
        "T5's weights",
        "activations of a block",
        "at the most",
        "available",
    ] {
        assert!(noted.contains(part), "{part}: {noted}");
    }
    draw(here, &models().original().join("flux1-dev.safetensors"), "b.png", &["--seed", "3"]);
    draw(here, &models().original(), "c.png", &["--seed", "3"]);
    let [a, b, c] = ["a.png", "b.png", "c.png"].map(|name| Png::read(&here.join(name)));
    assert_eq!(a.size, (64, 48));
    assert!(a.bytes == b.bytes && b.bytes == c.bytes);
    draw(here, &models().diffusers(), "d.png", &["--seed", "4"]);
    assert_ne!(Png::read(&here.join("d.png")).bytes, a.bytes);
    assert_eq!(names(here), ["a.png", "b.png", "c.png", "d.png"]);
    for (key, value) in [
        ("prompts", "[\"a red cat\"]"),
        ("negative_prompt", "none"),
        ("guidance_scale", "3.5"),
        ("height", "48"),
        ("width", "64"),
        ("dtype", "f32"),
        ("num_inference_steps", "4"),
        ("max_sequence_length", "16"),
        ("sampler", "flow-match-euler"),
        ("seed", "3"),
    ] {
        assert_eq!(a.text[key], value, "{key}");
    }
    assert_ne!(a.text["weights_sha256"], b.text["weights_sha256"]);
}

#[test]
fn the_command_draws_what_the_library_draws() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let more = ["--prompt", "a blue dog", "--images-per-prompt", "2", "--batch-size", "4", "--seed", "5"];
    draw(here, &models().diffusers(), "grid.png", &more);
    let more = [&more[..], &["--negative-prompt", "fog", "--true-cfg-scale", "2"]].concat();
    draw(here, &models().diffusers(), "samples.safetensors", &more);
    let options = TextToImageOptions {
        height: 48,
        width: 64,
        num_inference_steps: Some(4),
        max_sequence_length: Some(16),
        negative_prompt: Some("fog".into()),
        true_cfg_scale: Some(2.0),
        ..TextToImageOptions::default()
    };
    let model = models().diffusers();
    let prompts = ["a red cat", "a blue dog"];
    let pipeline =
        TextToImage::from_pretrained(model.to_str().unwrap(), &prompts, &options, &Device::flex()).unwrap();
    let subjects = [pipeline.prompts(), pipeline.prompts()].concat();
    let samples = pipeline.generate(&subjects, &[5, 6, 7, 8]).unwrap();
    let bytes = std::fs::read(here.join("samples.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let stored = file.tensor("samples").unwrap();
    assert_eq!(stored.shape(), [4, 12, 64]);
    let values: Vec<u8> = samples.clone().into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
    assert_eq!(stored.data(), values);
    assert!(file.tensor("class_labels").is_err());
    // A single image is itself, many are a grid.
    let guided = ["--negative-prompt", "fog", "--true-cfg-scale", "2", "--seed", "5"];
    draw(here, &models().diffusers(), "one.png", &guided);
    let first = pipeline.generate(&subjects[..1], &[5]).unwrap();
    let image = rgb_images(pipeline.images(first).unwrap().view()).unwrap().remove(0);
    assert_eq!(Png::read(&here.join("one.png")).bytes, image.into_raw());
    assert!(Png::read(&here.join("grid.png")).size > (2 * 64, 2 * 48));
}

#[test]
fn a_prompt_beyond_the_limit_is_told_and_cut() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let long = "red fox and more of it";
    let flags = |prompt| {
        [
            "generate",
            "--height",
            "32",
            "--width",
            "32",
            "--num-inference-steps",
            "2",
            "--max-sequence-length",
            "8",
            "--prompt",
            prompt,
        ]
    };
    let model = models().diffusers();
    let rest = ["--model", model.to_str().unwrap(), "--out", "a.png"];
    let (_, noted) = printed(here, &[&flags(long)[..], &rest].concat());
    let line = |encoder: &str| {
        noted.lines().find(|line| line.contains(encoder)).unwrap_or_else(|| panic!("{noted}"))
    };
    assert!(
        line("CLIP reads").contains(&format!("CLIP reads {CLIP_TOKENS} tokens of a prompt and leaves out '"))
    );
    assert!(line("T5 reads").contains("T5 reads 8 tokens of a prompt and leaves out '"), "{noted}");
    // What is left out has no effect.
    let cut = Png::read(&here.join("a.png"));
    printed(here, &[&flags("red fox and more of them all")[..], &rest].concat());
    assert_eq!(Png::read(&here.join("a.png")).bytes, cut.bytes);
    let (_, noted) = printed(here, &[&flags("a fox")[..], &rest].concat());
    assert!(!noted.contains("leaves out"), "{noted}");
    assert_ne!(Png::read(&here.join("a.png")).bytes, cut.bytes);
}

#[test]
fn prompts_come_from_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("prompts.txt"), "a red cat\n\n  a blue dog \n").unwrap();
    let model = models().diffusers();
    let args = [
        "generate",
        "--prompts",
        "prompts.txt",
        "--height",
        "32",
        "--width",
        "32",
        "--num-inference-steps",
        "1",
        "--json",
        "--max-sequence-length",
        "16",
        "--out",
        "a.safetensors",
        "--model",
        model.to_str().unwrap(),
        "--dtype",
        "bf16",
    ];
    let found = json(here, &args);
    assert_eq!(found["prompts"], serde_json::json!(["a red cat", "a blue dog"]));
    assert_eq!(
        (&found["images"], &found["dtype"], &found["batch_size"]),
        (&2.into(), &"bf16".into(), &1.into())
    );
}
