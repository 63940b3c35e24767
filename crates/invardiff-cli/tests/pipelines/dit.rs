//! A DiT in a diffusers folder.

use std::path::Path;

use crate::command::{Png, error, json, printed};
use crate::tiny::{write, write_dit};

fn model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_dit(&folder.path().join("dit"));
    folder
}

const FEW: [&str; 7] =
    ["generate", "--model", "dit", "--num-inference-steps", "4", "--class-labels", "1,none"];

#[test]
fn latents_are_decoded_where_there_is_an_autoencoder() {
    let folder = model();
    let here = folder.path();
    let found = json(here, &[&FEW[..], &["--out", "a.png", "--json"]].concat());
    assert_eq!(
        (&found["model"], &found["class_labels"]),
        (&"dit-4x64-p2-8x8x4".into(), &serde_json::json!([1, 10]))
    );
    let image = Png::read(&here.join("a.png"));
    // Two images of 64 pixels, enlarged to 128, with margins and a line of labels.
    assert!(image.size.0 > 2 * 128 && image.size.1 > 128, "{:?}", image.size);
    assert!(image.bytes.iter().any(|byte| *byte != image.bytes[image.bytes.len() / 2]));
    // Without it there are latents alone; one that is elsewhere can be named.
    std::fs::rename(here.join("dit/vae"), here.join("autoencoder")).unwrap();
    let message = error(here, &[&FEW[..], &["--out", "b.png"]].concat());
    assert!(message.contains("there is no autoencoder beside it"), "{message}");
    printed(here, &[&FEW[..], &["--out", "b.png", "--vae", "autoencoder"]].concat());
    assert_eq!(Png::read(&here.join("b.png")).bytes, image.bytes);
    printed(here, &[&FEW[..], &["--out", "c.safetensors"]].concat());
}

#[test]
fn a_scheduler_that_no_sampler_follows_is_named() {
    let folder = model();
    let here = folder.path();
    let path = "dit/scheduler/scheduler_config.json";
    let text = std::fs::read_to_string(here.join(path)).unwrap();
    let cases = [
        (
            text.replace("\"linear\"", "\"scaled_linear\""),
            "'beta_schedule' is \"scaled_linear\", expected \"linear\"",
        ),
        (text.replace("epsilon", "v_prediction"), "says that the model predicts Velocity"),
        (
            "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}".to_owned(),
            "one of flow-match Euler, which does not sample a DiT",
        ),
    ];
    for (text, expected) in cases {
        write(here, path, &text);
        let message = error(here, &[&FEW[..], &["--out", "a.png"]].concat());
        assert!(message.contains("scheduler_config.json") && message.contains(expected), "{message}");
        assert!(!here.join("a.png").exists());
    }
    // Another scheduler over the same noise levels is told and not followed.
    write(here, path, &text.replace("DDIMScheduler", "PNDMScheduler"));
    let (_, said) = printed(here, &[&FEW[..], &["--out", "a.png"]].concat());
    assert!(
        said.contains("the folder's scheduler is a PNDMScheduler, whose steps are not followed"),
        "{said}"
    );
}

#[test]
fn a_model_of_the_other_kind_is_refused() {
    let folder = model();
    let here = folder.path();
    let message = error(here, &["generate", "--model", "dit", "--prompt", "a cat", "--out", "a.png"]);
    assert!(message.contains("--prompt is given, but the model is a DiT, which draws classes"), "{message}");
    let flux = super::flux::models().diffusers();
    let flux = flux.to_str().unwrap();
    let message = error(here, &["generate", "--model", flux, "--class-labels", "1", "--out", "a.png"]);
    assert!(
        message.contains("--class-labels: the model is FLUX, which draws prompts (--prompt)"),
        "{message}"
    );
    // A folder whose index says one thing and whose weights are another.
    let weights = "transformer/diffusion_pytorch_model.safetensors";
    let swapped = super::flux::copy(Path::new(flux));
    std::fs::copy(here.join("dit").join(weights), swapped.path().join(weights)).unwrap();
    let path = swapped.path().to_str().unwrap();
    let message = error(here, &["generate", "--model", path, "--prompt", "a cat", "--out", "a.png"]);
    assert!(message.contains("safetensors: no FLUX: these are the weights of a DiT"), "{message}");
    std::fs::copy(Path::new(flux).join(weights), here.join("dit").join(weights)).unwrap();
    let message = error(here, &[&FEW[..], &["--out", "a.png"]].concat());
    assert!(
        message.contains("safetensors: no DiT: these are the weights of a FLUX transformer"),
        "{message}"
    );
    write(here, "dit/model_index.json", "{\"_class_name\": \"StableDiffusion3Pipeline\"}");
    let message = error(here, &[&FEW[..], &["--out", "a.png"]].concat());
    assert!(
        message.contains("model_index.json: the pipeline is a StableDiffusion3Pipeline; there are DiTPipeline, FluxPipeline, FluxKontextPipeline and FluxFillPipeline here"),
        "{message}"
    );
    assert!(!here.join("a.png").exists());
}
