//! `--lora`: weights with a file's changes, and plans that were made without them.

use std::path::{Path, PathBuf};

use super::super::models;
use super::draw;
use crate::command::{Png, error, printed};
use crate::tiny::{Tensors, write_tensors};

/// A LoRA file of rank 2 for a linear map of the tiny model, in diffusers' names.
fn lora(folder: &Path, map: &str) -> PathBuf {
    let values = |count: usize| (0..count).map(|i| 0.3 * (i as f32 * 0.7).sin()).collect();
    let tensors: Tensors = [("lora_A", vec![2, 32]), ("lora_B", vec![32, 2])]
        .into_iter()
        .map(|(half, shape)| (format!("transformer.{map}.{half}.weight"), (shape, values(64))))
        .collect();
    let path = folder.join("style.safetensors");
    write_tensors(&path, &tensors);
    path
}

#[test]
fn a_file_changes_the_image_by_its_strength_and_a_plan_knows() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let file = lora(here, "transformer_blocks.0.attn.to_q");
    let file = file.to_str().unwrap();
    let nothing = format!("{file}:0");
    draw(here, &models().diffusers(), "plain.png", &[]);
    draw(here, &models().diffusers(), "styled.png", &["--lora", file]);
    draw(here, &models().diffusers(), "nothing.png", &["--lora", &nothing]);
    // The names of one layout change the weights of the other.
    draw(here, &models().original(), "original.png", &["--lora", file]);
    let [plain, styled, nothing, original] =
        ["plain.png", "styled.png", "nothing.png", "original.png"].map(|name| Png::read(&here.join(name)));
    assert_ne!(plain.bytes, styled.bytes);
    assert_eq!(plain.bytes, nothing.bytes);
    assert_eq!(styled.bytes, original.bytes);
    assert_ne!(plain.text["weights_sha256"], styled.text["weights_sha256"]);

    let model = models().diffusers();
    let model = ["--model", model.to_str().unwrap()];
    let made =
        ["calibrate", "--prompt", "a cat", "--height", "48", "--width", "64", "--max-sequence-length", "16"];
    let steps = ["--num-inference-steps", "6", "--out", "made"];
    printed(here, &[&made[..], &steps, &model].concat());
    let plan = here.join("made/plan.json");
    let with =
        ["generate", "--prompt", "a dog", "--max-sequence-length", "16", "--plan", plan.to_str().unwrap()];
    let cached = ["--lora", file, "--out", "cached.png"];
    let message = error(here, &[&with[..], &model, &cached].concat());
    assert!(message.contains("weights_sha256") && message.contains("another LoRA"), "{message}");
    assert!(!here.join("cached.png").exists());
    printed(here, &[&with[..], &model, &cached, &["--force"]].concat());
    assert!(here.join("cached.png").is_file());
}

#[test]
fn files_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let file = lora(here, "transformer_blocks.9.attn.to_q");
    let model = models().diffusers();
    let asked =
        ["generate", "--prompt", "a cat", "--height", "48", "--width", "64", "--out", "a.png", "--model"];
    let refused =
        |file: &str| error(here, &[&asked[..], &[model.to_str().unwrap(), "--lora", file]].concat());
    let message = refused(file.to_str().unwrap());
    assert!(message.contains("style.safetensors"), "{message}");
    assert!(message.contains("such as transformer_blocks.9.attn.to_q: the LoRA"), "{message}");
    let message = refused("none.safetensors:0.5");
    assert!(message.contains("--lora none.safetensors: there is no such file"), "{message}");
    let message = error(here, &["generate", "--lora", "none.safetensors", "--out", "a.png"]);
    assert!(message.contains("--lora cannot be added: fashion is embedded"), "{message}");
}
