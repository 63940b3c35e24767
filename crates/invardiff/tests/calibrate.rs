//! The whole loop through the real command, on few steps.

use std::path::Path;

use assert_cmd::Command;
use invardiff_plan::CachePlan;
use serde_json::Value;

/// Runs `calibrate` with a few steps and returns what `--json` printed.
fn calibrate(out: &Path, more: &[&str]) -> Value {
    let mut command = Command::cargo_bin("invardiff").unwrap();
    command.args([
        "calibrate",
        "--num-inference-steps",
        "8",
        "--runs",
        "2",
        "--pictures",
        "5",
        "--json",
        "--out",
    ]);
    let printed = command.arg(out).args(more).assert().success().get_output().stdout.clone();
    serde_json::from_slice(&printed).unwrap()
}

#[test]
fn one_command_measures_plans_replays_and_reports() {
    let out = tempfile::tempdir().unwrap();
    let printed = calibrate(out.path(), &[]);
    for name in [
        "plan.json",
        "plan.bin",
        "paper.json",
        "least-error.json",
        "report.html",
        "report.json",
        "grid-1.png",
    ] {
        assert!(out.path().join(name).is_file(), "{name}");
    }
    let plan = CachePlan::read(out.path().join("plan.json")).unwrap();
    assert_eq!(plan, CachePlan::read(out.path().join("plan.bin")).unwrap());
    assert_eq!(plan, CachePlan::read(out.path().join("paper.json")).unwrap());
    assert_eq!(plan.provenance.method, "invardiff-dit");
    assert_eq!(plan.provenance.execution.as_ref().unwrap().timesteps.len(), 8);
    assert_eq!(printed["skipped_steps"], plan.skipped_steps());

    let rows = printed["table"].as_array().unwrap();
    let named =
        |name: &str| rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name}"));
    assert_eq!(named("full")["psnr_worst"], 100.0, "the full run is its own reference");
    let fraction = |name: &str| named(name)["compute_fraction"].as_f64().unwrap();
    assert!(fraction("paper's rule") <= fraction("gate alone"));
    assert!(fraction("least error") <= fraction("paper's rule") + 1e-9, "the rival gets no more compute");
    for rival in ["modules alone", "uniform skipping", "uniform, extrapolated", "random plan"] {
        assert!(named(rival)["psnr_mean"].as_f64().unwrap() > 0.0, "{rival}");
    }
    assert!(rows.iter().any(|row| row["name"].as_str().unwrap().starts_with("ddim ")));
    assert!(rows.iter().any(|row| row["name"].as_str().unwrap().starts_with("dpm-solver++ ")));
}

#[test]
fn the_same_command_makes_the_same_plan() {
    let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let of = |out: &Path| calibrate(out, &["--compute-steps", "5"])["fingerprint"].clone();
    assert_eq!(of(first.path()), of(second.path()));
    let plan = CachePlan::read(first.path().join("plan.json")).unwrap();
    assert_eq!(plan.provenance.method, "least-error");
    assert_eq!(plan.steps() - plan.skipped_steps(), 5);

    let (atlas, made) = (first.path().join("skips.atlas"), first.path().join("made.json"));
    let make = |goal: &[&str]| {
        let mut command = Command::cargo_bin("invardiff").unwrap();
        command.args(["plan", "make"]).arg(&atlas).args(goal).arg("--out").arg(&made).assert()
    };
    make(&["--compute-steps", "5"]).success();
    assert_eq!(CachePlan::read(&made).unwrap(), plan, "the atlas alone gives the same plan");
    make(&["--target-speedup", "2"]).success();
    assert_eq!(CachePlan::read(&made).unwrap().skipped_steps(), 4);
    make(&["--compute-steps", "1"]).failure().code(1);
    assert_eq!(
        CachePlan::read(&made).unwrap().skipped_steps(),
        4,
        "a refused plan leaves the file as it was"
    );
}

#[test]
fn quantiles_of_zero_make_the_plan_that_computes_everything() {
    let out = tempfile::tempdir().unwrap();
    let more = ["--step-quantile", "0", "--quantile", "msa=0", "--quantile", "mlp=0"];
    let printed = calibrate(out.path(), &more);
    assert_eq!((printed["skipped_steps"].clone(), printed["reused_modules"].clone()), (0.into(), 0.into()));
    let rows = printed["table"].as_array().unwrap();
    let own = rows.iter().find(|row| row["name"] == "paper's rule").unwrap();
    assert_eq!(own["psnr_worst"], 100.0);
    assert_eq!(own["peak_cache_bytes"], 0);
}

#[test]
fn bad_settings_are_one_error_that_names_the_flag() {
    let out = tempfile::tempdir().unwrap();
    for (flags, named) in [
        (&["--quantile", "conv=0.3"][..], "--quantile conv"),
        (&["--step-quantile", "1.5"], "--step-quantile"),
        (&["--model", "no-such-file.pt"], "no-such-file.pt"),
        (&["--target-speedup", "0.5"], "--target-speedup"),
        (&["--compute-steps", "99"], "--compute-steps"),
        (&["--guidance-scale", "inf"], "--guidance-scale"),
    ] {
        let mut command = Command::cargo_bin("invardiff").unwrap();
        command.args(["calibrate", "--num-inference-steps", "8", "--runs", "1", "--pictures", "1", "--out"]);
        let failed = command.arg(out.path().join("x")).args(flags).assert().failure().code(1);
        let message = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
        assert!(message.starts_with("error: ") && message.contains(named), "{flags:?}: {message}");
        assert!(!message.contains("panicked"), "{message}");
        assert!(!out.path().join("x/plan.json").exists(), "{flags:?} left a plan behind");
    }
}
