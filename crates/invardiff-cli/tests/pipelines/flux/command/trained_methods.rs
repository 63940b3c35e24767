//! Learning-to-Cache and Block Caching: trained, resumed, evaluated and drawn with.

use serde_json::Value;

use super::super::models;
use crate::command::{error, json, names};

/// What a run of the tiny model is.
const RUN: [&str; 12] = [
    "--height",
    "32",
    "--width",
    "32",
    "--max-sequence-length",
    "16",
    "--prompt",
    "a red cat",
    "--prompt",
    "a blue dog",
    "--images",
    "2",
];
/// Sites of two double and three single blocks: attention, feed-forward and the text's feed-forward; attention and mlp.
const SITES: u64 = 2 * 3 + 3 * 2;

fn rows(found: &Value) -> Vec<&str> {
    found["table"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

#[test]
fn routers_are_trained_on_what_the_model_draws() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = models().diffusers();
    let model = ["--model", model.to_str().unwrap()];
    let flags = ["--num-inference-steps", "4", "--drawn-examples", "2", "--batch-size", "2", "--out", "made"];
    let train = |more: &[&str]| {
        json(here, &[&["route", "train"], &model[..], &RUN, &flags, more, &["--json"]].concat())
    };
    train(&["--iterations", "2"]);
    let found = train(&["--iterations", "4", "--resume"]);
    assert_eq!((&found["iterations"], &found["routed_modules"]), (&4.into(), &(2 * SITES).into()));
    assert_eq!(rows(&found)[..3], ["full", "routers", "routers, blended"]);
    assert!(found["examples"].as_str().unwrap().contains("2 images that the model drew itself"));
    for file in ["routers.safetensors", "state.safetensors", "plan.json", "report.html"] {
        assert!(names(&here.join("made")).contains(&file.to_owned()), "{file} is missing");
    }
    // The other prompts are another training.
    let other = [&["route", "train"], &model[..], &RUN[..8], &flags, &["--resume"]].concat();
    assert!(error(here, &other).contains("was made with prompt"));

    let eval = [&["route", "eval", "made/routers.safetensors"], &model[..], &RUN, &["--json"]].concat();
    let evaluated = json(here, &eval);
    assert_eq!(evaluated["computed_modules"], found["computed_modules"]);
    assert_eq!(evaluated["table"][1]["psnr_mean"], found["table"][1]["psnr_mean"]);
    let draw =
        [&["generate", "--plan", "made/plan.json", "--out", "a.png", "--json"], &model[..], &RUN[4..8]];
    assert_eq!(json(here, &draw.concat())["num_inference_steps"], 4);
    let examples = [&["route", "train", "--examples", "x.safetensors"], &model[..], &RUN].concat();
    assert!(error(here, &examples).contains("--examples"));
}

#[test]
fn vectors_are_trained_for_a_plan_of_changes() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = models().diffusers();
    let model = ["--model", model.to_str().unwrap()];
    let flags =
        ["--num-inference-steps", "4", "--target-compute", "0.7", "--runs", "2", "--out", "plan.json"];
    let plan = json(here, &[&["block-cache", "plan"], &model[..], &RUN[..10], &flags, &["--json"]].concat());
    let share = plan["compute_fraction"].as_f64().unwrap();
    assert!(share <= 0.7 && plan["reused_modules"].as_u64().unwrap() > 0, "{plan}");
    let run = [&model[..], &RUN[4..], &["--json"]].concat();
    let train = ["block-cache", "train", "plan.json", "--iterations", "2", "--batch-size", "1"];
    let trained = json(here, &[&train[..], &run].concat());
    assert_eq!(trained["adjusted_modules"], plan["reused_modules"]);
    let evaluated = json(here, &[&["block-cache", "eval", "plan.json"], &run[..]].concat());
    assert_eq!(rows(&evaluated)[..3], ["full", "adjusted", "unadjusted"]);
    assert_eq!(evaluated["table"][1]["psnr_mean"], trained["table"][1]["psnr_mean"]);
    assert_ne!(evaluated["table"][1]["psnr_mean"], evaluated["table"][2]["psnr_mean"]);
}
