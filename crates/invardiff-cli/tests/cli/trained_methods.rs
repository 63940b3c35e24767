//! `invardiff route` and `invardiff block-cache`, on runs as short as they get.

use std::path::Path;

use crate::support::{error, json};
#[cfg(feature = "autodiff")]
use crate::support::{names, stdout};

/// Flags that train as little as there is to train.
#[cfg(feature = "autodiff")]
const TRAIN: [&str; 14] = [
    "route",
    "train",
    "--num-inference-steps",
    "4",
    "--batch-size",
    "2",
    "--drawn-examples",
    "4",
    "--images",
    "2",
    "--out",
    "routers",
    "--learning-rate",
    "0.5",
];

#[cfg(feature = "autodiff")]
#[test]
fn routers_are_trained_resumed_judged_and_cut() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let train = |more: &[&str]| json(at, &[&TRAIN, more, &["--json"]].concat());
    let first = train(&["--iterations", "3"]);
    assert_eq!((first["iterations"].as_u64(), first["routed_modules"].as_u64()), (Some(3), Some(32)));
    for file in ["routers.safetensors", "state.safetensors", "plan.json", "report.html", "training-1.svg"] {
        assert!(names(&at.join("routers")).contains(&file.to_owned()), "{file} is missing");
    }
    let resumed = train(&["--iterations", "5", "--resume"]);
    assert_eq!(resumed["iterations"], 5);
    let rows = |object: &serde_json::Value| {
        let rows = object["table"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rows(&resumed)[..3], ["full", "routers", "routers, blended"]);
    let other = error(at, &[&TRAIN, &["--iterations", "6", "--resume", "--lambda", "1"][..]].concat());
    assert!(other.contains("lambda 0.00005, not 1"), "{other}");

    let evaluated =
        ["route", "eval", "routers/routers.safetensors", "--images", "2", "--randoms", "1", "--json"];
    let evaluated = json(at, &evaluated);
    assert_eq!(evaluated["computed_modules"], resumed["computed_modules"]);
    assert_eq!(evaluated["table"][1]["psnr_mean"], resumed["table"][1]["psnr_mean"]);
    let cut = |threshold: &str| {
        let out = ["route", "plan", "routers/routers.safetensors", "--model", "fashion", "--out", "cut.json"];
        json(at, &[&out[..], &["--threshold", threshold, "--json"]].concat())
    };
    assert_eq!(
        (cut("0")["computed_modules"].as_u64(), cut("1")["computed_modules"].as_u64()),
        (Some(32), Some(0))
    );
    assert!(cut("1")["predicted_speedup"].as_f64().unwrap() > 1.5);
    let shown = json(at, &["plan", "show", "cut.json", "--json"]);
    assert_eq!(
        (shown["reused_modules"].as_u64(), shown["method"].as_str()),
        (Some(32), Some("learning-to-cache"))
    );
    let wrong = error(at, &["route", "eval", "routers/routers.safetensors", "--num-inference-steps", "6"]);
    assert!(wrong.contains("the routers are for 4 steps"), "{wrong}");
}

#[cfg(feature = "autodiff")]
#[test]
fn training_repeats_bit_for_bit_however_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let bytes = || std::fs::read(at.join("routers/routers.safetensors")).unwrap();
    stdout(at, &[&TRAIN, &["--iterations", "4"][..]].concat());
    let whole = bytes();
    stdout(at, &[&TRAIN, &["--iterations", "2"][..]].concat());
    assert_ne!(bytes(), whole);
    stdout(at, &[&TRAIN, &["--iterations", "4", "--resume"][..]].concat());
    assert_eq!(bytes(), whole);
}

fn plan(at: &Path, flags: &[&str]) -> serde_json::Value {
    let plan =
        ["block-cache", "plan", "--num-inference-steps", "6", "--runs", "2", "--out", "plan.json", "--json"];
    json(at, &[&plan[..], flags].concat())
}

#[test]
fn changes_make_a_plan_of_the_asked_compute_or_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let half = plan(at, &["--target-compute", "0.6"]);
    let (delta, compute) = (half["delta"].as_f64().unwrap(), half["compute_fraction"].as_f64().unwrap());
    assert!(delta > 0.0 && compute <= 0.6 && compute > 0.4, "{half}");
    let again = plan(at, &["--delta", &delta.to_string()]);
    assert_eq!(again["reused_modules"], half["reused_modules"]);
    let attention = plan(at, &["--delta", "1e9", "--kind", "msa"]);
    assert_eq!(attention["reused_modules"], 5 * 8);
    let too_low = ["block-cache", "plan", "--num-inference-steps", "6", "--runs", "1", "--out", "p.json"];
    let too_low = error(at, &[&too_low[..], &["--target-compute", "0.01"]].concat());
    assert!(too_low.contains("--target-compute") && !at.join("p.json").exists(), "{too_low}");
    let unknown = ["block-cache", "plan", "--kind", "ff", "--out", "p.json"];
    assert!(error(at, &unknown).contains("--kind"));
}

#[cfg(feature = "autodiff")]
#[test]
fn vectors_are_trained_beside_their_plan_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    plan(at, &["--target-compute", "0.6"]);
    let train = ["block-cache", "train", "plan.json", "--batch-size", "1", "--images", "2", "--json"];
    let train = |more: &[&str]| json(at, &[&train[..], more].concat());
    let first = train(&["--iterations", "2"]);
    let vectors = first["adjustment"].as_str().unwrap().to_owned();
    assert!(vectors.starts_with("scale-shift-"), "{vectors}");
    let short = std::fs::read(at.join(&vectors)).unwrap();
    train(&["--iterations", "3", "--resume"]);
    let whole = std::fs::read(at.join(&vectors)).unwrap();
    assert_ne!(whole, short);
    let again = train(&["--iterations", "3"]);
    assert_eq!(std::fs::read(at.join(&vectors)).unwrap(), whole);
    assert!(at.join(again["report"].as_str().unwrap()).exists());
    let evaluated = json(at, &["block-cache", "eval", "plan.json", "--images", "2", "--json"]);
    assert_eq!(evaluated["table"][1]["name"], "adjusted");
    assert_eq!(evaluated["table"][1]["psnr_mean"], again["table"][1]["psnr_mean"]);
    assert_eq!(evaluated["table"][1]["peak_cache_bytes"], evaluated["table"][2]["peak_cache_bytes"]);
    assert_ne!(evaluated["table"][1]["psnr_mean"], evaluated["table"][2]["psnr_mean"]);
    // Beside the plan, the vectors take part in a comparison; elsewhere they do not.
    let compared = || {
        let small = ["--num-inference-steps", "6", "--images", "1", "--runs", "1", "--converged-steps", "0"];
        let methods = ["--method", "ddim=3", "--method", "plans-mine=plan.json", "--json"];
        json(at, &[&["compare"], &small[..], &methods].concat())
            .pointer("/panels/0/lines/0/points/0/full/psnr_mean")
            .and_then(serde_json::Value::as_f64)
            .unwrap()
    };
    let adjusted = compared();
    std::fs::rename(at.join(&vectors), at.join("elsewhere.safetensors")).unwrap();
    assert_ne!(compared(), adjusted);
    std::fs::rename(at.join("elsewhere.safetensors"), at.join(&vectors)).unwrap();
    plan(at, &["--target-compute", "0.7"]);
    let other = error(at, &["block-cache", "eval", "plan.json", "--adjustment", &vectors]);
    assert!(other.contains("trained for the plan"), "{other}");
}

#[cfg(not(feature = "autodiff"))]
#[test]
fn a_program_without_gradients_says_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["route", "train"][..], &["block-cache", "train", "plan.json"]] {
        assert!(error(folder.path(), args).contains("--features autodiff"), "{args:?}");
    }
}
