//! `invardiff bench-model`.

use crate::support::{data, error, json, run, stdout};

const FEW: [&str; 9] = [
    "bench-model",
    "--random-weights",
    "--device",
    "cpu",
    "--num-inference-steps",
    "4",
    "--rounds",
    "1",
    "--warm-up",
];

/// The arguments for a model without warm-up.
fn few<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    FEW.iter().copied().chain(["0", "--model", model]).chain(more.iter().copied()).collect()
}

#[test]
fn a_tiny_flux_is_timed_full_and_cached() {
    let folder = tempfile::tempdir().unwrap();
    let model = data("invardiff-models/tests/data/flux_tiny/config.json");
    let found = json(
        folder.path(),
        &few(&model, &["--pixels", "256", "--text-tokens", "24", "--dtype", "bf16", "--json"]),
    );
    assert_eq!((&found["device"], &found["dtype"]), (&"cpu".into(), &"bf16".into()));
    assert_eq!((&found["computed_steps"], &found["skipped_steps"]), (&2.into(), &2.into()));
    let number = |key: &str| found[key].as_f64().unwrap();
    assert!(number("skipped_step_ms") < number("computed_step_ms"), "{found}");
    assert!(number("speedup") > 1.0 && number("predicted_speedup") > 1.5, "{found}");
    // One hidden state of 256 image tokens in bf16.
    assert_eq!(found["peak_cache_bytes"], found["scheduled_cache_bytes"]);
    assert_eq!(number("peak_cache_bytes") as usize % (256 * 2), 0);
    for key in ["full_ms", "cached_ms", "full_cpu_ms", "cached_cpu_ms"] {
        assert_eq!(found[key].as_array().map(Vec::len), Some(1), "{key}: {found}");
    }
    assert_eq!(found["attention"]["path"], "whole");
    assert_eq!(found["attention"]["shape"][2], 280);
}

#[test]
fn a_dit_says_what_a_plan_gains() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(folder.path(), &few("dit-s-8-256", &[]));
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("dit-s-8-256 on cpu, f32, random weights (seed 0), 4 steps, plan "),
        "{text}"
    );
    for (line, name) in
        lines[1..].iter().zip(["full step", "computed step", "skipped step", "full trajectory"])
    {
        assert!(line.starts_with(name) && line.contains(" ms "), "{text}");
    }
    assert!(
        lines.last().unwrap().starts_with("attention [2, 6, 16, 64]: with all scores in memory"),
        "{text}"
    );
}

#[test]
fn a_calibration_is_set_against_a_plain_run() {
    let folder = tempfile::tempdir().unwrap();
    let found = json(folder.path(), &few("dit-s-8-256", &["--calibration", "--json"]));
    assert_eq!((&found["model"], &found["num_inference_steps"]), (&"dit-s-8-256".into(), &4.into()));
    let passes = found["passes"].as_u64().unwrap();
    assert!((1..=2).contains(&passes), "{found}");
    assert_eq!(found["plain"]["ratio"], 1.0);
    for kind in ["calibration", "with_similarity"] {
        // It runs the model along the whole trajectory: not a tenth of a plain run, however busy the machine is.
        assert!(found[kind]["ratio"].as_f64().unwrap() > 0.1, "{found}");
        assert_eq!(found[kind]["ms"].as_array().map(Vec::len), Some(1), "{found}");
    }
    let model = data("invardiff-models/tests/data/flux_tiny/config.json");
    let text =
        stdout(folder.path(), &few(&model, &["--pixels", "256", "--text-tokens", "24", "--calibration"]));
    for name in ["plain run ", "calibration ", "with similarity ", "calibration over plain ", "peak memory"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }
    let both = few("dit-s-8-256", &["--calibration", "--plan", "x.json"]);
    assert_eq!(run(folder.path(), &both).status.code(), Some(2));
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    let book = data(
        "invardiff-plan/tests/data/reference-plans/dit-xl-2-256/cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json",
    );
    let message = error(folder.path(), &few("dit-xl-3-256", &[]));
    assert!(message.contains("--model dit-xl-3-256: there are dit-s-2-256, "), "{message}");
    let message = error(folder.path(), &few("dit-s-8-256", &["--plan", &book]));
    assert!(message.contains("--plan ") && message.contains("cache_books"), "{message}");
    let args = ["bench-model", "--model", "dit-s-8-256"];
    assert_eq!(run(folder.path(), &args).status.code(), Some(2), "weights are random or none");
}
