//! What cannot run: one error that names what and where, and nothing half-written.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use super::super::{copy, models};
use crate::command::{error, names};
use crate::tiny::write;

const ASKED: [&str; 8] =
    ["generate", "--prompt", "a cat", "--height", "32", "--width", "32", "--max-sequence-length"];

/// The error for a model in a folder; `more` are further flags.
fn refused(model: &Path, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let model = ["16", "--model", model.to_str().unwrap(), "--num-inference-steps", "2", "--out", "a.png"];
    let message = error(folder.path(), &[&ASKED[..], &model, more].concat());
    assert_eq!(names(folder.path()), [""; 0], "{message}");
    message
}

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

#[test]
fn sizes_and_flags_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = models().diffusers();
    let flags = |more: &[&str]| {
        let few = ["generate", "--model", model.to_str().unwrap(), "--prompt", "a cat", "--out", "a.png"];
        error(folder.path(), &[&few[..], more].concat())
    };
    let cases: [(&[&str], &str); 8] = [
        (&["--height", "100"], "'height' is 100, expected a multiple of 16 from 16 to 16384"),
        (&["--width", "0"], "'width' is 0, expected a multiple of 16"),
        (&["--max-sequence-length", "5000"], "'text_tokens' is 5000, expected at most 4096"),
        (&["--max-sequence-length", "1"], "1 tokens leave no room for a prompt"),
        (&["--sampler", "ddim"], "--sampler does not suit the model: FLUX is sampled with"),
        (&["--eta", "0.5"], "--eta 0.5: flow-match-euler draws no noise"),
        (&["--guidance-scale", "nan"], "--guidance-scale is"),
        (&["--num-inference-steps", "0"], "0 is not in 1..=1000"),
    ];
    for (more, expected) in cases {
        let output = crate::command::run(
            folder.path(),
            &[&["generate", "--model", model.to_str().unwrap(), "--prompt", "a cat", "--out", "a.png"], more]
                .concat(),
        );
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && message.contains(expected), "{more:?}: {message}");
    }
    let message = flags(&["--memory-limit", "1MB"]);
    assert!(message.contains("this run cannot fit: it takes"), "{message}");
    for part in
        ["memory\n", "T5's weights", "transformer's weights", "autoencoder's weights", "1.0 MB  available"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let message = error(folder.path(), &["generate", "--prompt", "a cat", "--out", "a.png"]);
    assert!(message.contains("--model is missing: prompts are drawn by a FLUX model"), "{message}");
    let message = error(folder.path(), &["generate", "--model", model.to_str().unwrap(), "--out", "a.png"]);
    assert!(message.contains("--prompt is missing"), "{message}");
    let missing = ["generate", "--model", model.to_str().unwrap(), "--out", "a.png", "--prompts", "none.txt"];
    assert!(error(folder.path(), &missing).contains("--prompts none.txt: No such file"));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_missing_part_is_named() {
    let whole = models().diffusers();
    for (part, expected) in [
        ("transformer", "the folder transformer is missing"),
        ("tokenizer_2", "the folder tokenizer_2 is missing; FLUX reads prompts with CLIP"),
        ("text_encoder/model.safetensors", "text_encoder: the folder has none of model.safetensors"),
        ("tokenizer/merges.txt", "tokenizer: there is neither a tokenizer.json nor"),
        ("transformer/config.json", "so how positions turn them is unknown"),
    ] {
        let folder = copy(&whole);
        let path = folder.path().join(part);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        let message = refused(folder.path(), &[]);
        assert!(message.contains(expected), "{part}: {message}");
    }
    // The original file without anything beside it.
    let alone = tempfile::tempdir().unwrap();
    for name in ["flux1-dev.safetensors", "config.json"] {
        fs::copy(models().original().join(name), alone.path().join(name)).unwrap();
    }
    let message = refused(&alone.path().join("flux1-dev.safetensors"), &[]);
    assert!(
        message.contains("there are no text encoders beside the transformer; put the folders"),
        "{message}"
    );
    for name in ["text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"] {
        let from = copy(&models().original().join(name));
        fs::rename(from.path(), alone.path().join(name))
            .or_else(|_| copied(from.path(), &alone.path().join(name)))
            .unwrap();
    }
    let message = refused(&alone.path().join("flux1-dev.safetensors"), &[]);
    assert!(message.contains("there is no autoencoder beside it"), "{message}");
}

fn copied(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().unwrap()))?;
    }
    Ok(())
}

/// The element type and shape that a tensor gets, by its name and shape.
type Change = fn(&str, Vec<usize>) -> (Dtype, Vec<usize>);

/// Weights in shards, one of which is missing; weights cut short; weights of the wrong shape and type.
#[test]
fn damaged_weights_are_named() {
    let folder = copy(&models().diffusers());
    let path = folder.path().join("transformer").join(WEIGHTS);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let message = refused(folder.path(), &[]);
    assert!(
        message.contains("transformer/diffusion_pytorch_model.safetensors: no whole safetensors file"),
        "{message}"
    );

    let changed = |change: Change| {
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensors: Vec<_> = file
            .iter()
            .map(|(name, view)| {
                let (dtype, shape) = change(name, view.shape().to_vec());
                let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
                (name.to_owned(), dtype, shape, vec![0u8; length])
            })
            .collect();
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        refused(folder.path(), &[])
    };
    let message =
        changed(|name, shape| (Dtype::F32, if name == "x_embedder.weight" { vec![32, 60] } else { shape }));
    assert!(message.contains("misshapen: x_embedder.weight, expected [32, 64], found [32, 60]"), "{message}");
    let message =
        changed(|name, shape| (if name == "proj_out.bias" { Dtype::I32 } else { Dtype::F32 }, shape));
    assert!(message.contains("not a float: proj_out.bias, found elements of type"), "{message}");

    fs::remove_file(&path).unwrap();
    let shard = "diffusion_pytorch_model-00002-of-00002.safetensors";
    let index =
        serde_json::json!({"metadata": {}, "weight_map": {"proj_out.bias": shard, "proj_out.weight": shard}});
    write(folder.path(), "transformer/diffusion_pytorch_model.safetensors.index.json", &index.to_string());
    let message = refused(folder.path(), &[]);
    assert!(
        message.contains(&format!("{shard}: the shard is missing")) && message.contains("2 tensors"),
        "{message}"
    );
}

/// Parts that are whole, but of different models.
#[test]
fn parts_that_do_not_belong_together_are_named() {
    let folder = copy(&models().diffusers());
    let dit = tempfile::tempdir().unwrap();
    crate::tiny::write_dit(dit.path());
    for name in ["config.json", WEIGHTS] {
        fs::copy(dit.path().join("vae").join(name), folder.path().join("vae").join(name)).unwrap();
    }
    let message = refused(folder.path(), &[]);
    assert!(message.contains("vae: the autoencoder has 4 latent channels, the transformer 16"), "{message}");
    let config = fs::read_to_string(folder.path().join("transformer/config.json")).unwrap();
    write(
        folder.path(),
        "transformer/config.json",
        &config.replace("\"pooled_projection_dim\":24", "\"pooled_projection_dim\":20"),
    );
    let message = refused(folder.path(), &[]);
    assert!(message.contains("CLIP's text has 24 channels") && message.contains("takes 20"), "{message}");
    let scheduler = "scheduler/scheduler_config.json";
    let text = fs::read_to_string(folder.path().join(scheduler)).unwrap();
    write(folder.path(), scheduler, &text.replace("\"shift\":3.0", "\"use_beta_sigmas\":true"));
    let message = refused(folder.path(), &[]);
    assert!(
        message.contains("scheduler_config.json: 'use_beta_sigmas' is true, expected false"),
        "{message}"
    );
}
