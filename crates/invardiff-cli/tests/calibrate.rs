//! The whole loop through the real command, on few steps.

use std::path::Path;

use assert_cmd::Command;
use invardiff_plan::{CachePlan, GateSite, Kind, ReuseRule};
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
        "--images",
        "5",
        "--converged-steps",
        "24",
        "--json",
        "--out",
    ]);
    let printed = command.arg(out).args(more).assert().success().get_output().stdout.clone();
    serde_json::from_slice(&printed).unwrap()
}

fn row<'a>(printed: &'a Value, name: &str) -> &'a Value {
    let rows = printed["table"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name}: {rows:?}"))
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
        "fitted.json",
        "target.gram",
        "report.html",
        "report.json",
        "grid-1.png",
    ] {
        assert!(out.path().join(name).is_file(), "{name}");
    }
    let read = |name: &str| CachePlan::read(out.path().join(name)).unwrap();
    let plan = read("plan.json");
    assert_eq!(plan, read("plan.bin"));
    assert_eq!(read("paper.json").provenance.method, "invardiff-dit");
    assert_eq!(plan.provenance.execution.as_ref().unwrap().timesteps.len(), 8);

    // The plan that wins is the nearer of two to the converged images, on the conditions that it was chosen on.
    let own = ["fitted.json", "least-error.json"].into_iter().find(|name| read(name) == plan).unwrap();
    let (own, other) =
        if own == "fitted.json" { ("fitted", "least error") } else { ("least error", "fitted") };
    assert_eq!(row(&printed, own)["group"], "plan");
    let converged = |name: &str| row(&printed, name)["converged"]["psnr_mean"].as_f64().unwrap();
    assert!(converged(own) > 0.0 && converged(other) > 0.0);
    let fraction = |name: &str| row(&printed, name)["compute_fraction"].as_f64().unwrap();
    assert!(fraction("fitted") <= fraction("paper's rule") + 1e-9, "it gets no more compute");
    let evaluations = read("fitted.json").steps();
    for solver in ["dpm-solver++", "unipc-2", "unipc-3"] {
        let name = format!("{solver} {evaluations}, best times");
        assert!((fraction(&name) - fraction("fitted")).abs() < 1e-9, "{name}");
    }
    let gain = printed["gain"].as_str().unwrap();
    assert!(gain.contains("x faster; ") && gain.contains("the exact image than your full run"), "{gain}");
}

#[test]
fn the_published_plan_is_there_when_it_is_asked_for() {
    let out = tempfile::tempdir().unwrap();
    let printed = calibrate(out.path(), &["--method", "paper"]);
    let plan = CachePlan::read(out.path().join("plan.json")).unwrap();
    assert_eq!(plan, CachePlan::read(out.path().join("paper.json")).unwrap());
    assert_eq!(plan.provenance.method, "invardiff-dit");
    assert_eq!(printed["skipped_steps"], plan.skipped_steps());
    assert!(!out.path().join("fitted.json").exists());

    let rows = printed["table"].as_array().unwrap();
    let named = |name: &str| row(&printed, name);
    assert_eq!(named("full")["psnr_worst"], 100.0, "the full run is its own reference");
    let fraction = |name: &str| named(name)["compute_fraction"].as_f64().unwrap();
    assert!(fraction("paper's rule") <= fraction("gate alone"));
    assert!(fraction("least error") <= fraction("paper's rule") + 1e-9, "the baseline gets no more compute");
    for baseline in ["modules alone", "uniform skipping", "uniform, extrapolated", "random plan"] {
        assert!(named(baseline)["psnr_mean"].as_f64().unwrap() > 0.0, "{baseline}");
    }
    assert!(rows.iter().any(|row| row["name"].as_str().unwrap().starts_with("ddim ")));
    let converged = |name: &str| named(name)["converged"]["psnr_mean"].as_f64().unwrap();
    assert!(converged("full") < 100.0, "eight steps are not converged");
    assert!(converged("random plan") < converged("full"));
    let verdict = printed["verdict"].as_str().unwrap();
    assert!(verdict.contains("fewer steps") && verdict.contains("paper's rule"), "{verdict}");
    for solver in ["dpm-solver++ ", "unipc ", "unipc-3 "] {
        assert!(rows.iter().any(|row| row["name"].as_str().unwrap().starts_with(solver)), "{solver}");
    }
}

#[test]
fn a_gram_file_alone_makes_plans_for_other_steps() {
    let out = tempfile::tempdir().unwrap();
    calibrate(out.path(), &["--toward", "converged", "--compute-steps", "4"]);
    let (gram, made) = (out.path().join("target.gram"), out.path().join("made.json"));
    let make = |more: &[&str]| {
        let mut command = Command::cargo_bin("invardiff").unwrap();
        command.args(["plan", "make"]).arg(&gram).args(more).assert()
    };
    let to = made.to_str().unwrap();
    make(&["--compute-steps", "4", "--out", to]).success();
    let plan = CachePlan::read(&made).unwrap();
    assert_eq!((plan.steps(), plan.full_steps()), (4, 8));
    assert!(plan.grid().is_some() && plan.fit().unwrap().chosen_on == 0);
    make(&["--num-inference-steps", "12", "--target-speedup", "3", "--power", "4", "--out", to]).success();
    let plan = CachePlan::read(&made).unwrap();
    assert_eq!((plan.steps(), plan.full_steps()), (4, 12));
    let mut generate = Command::cargo_bin("invardiff").unwrap();
    generate.args(["generate", "--class-labels", "3", "--plan", to, "--out"]).arg(out.path().join("a.png"));
    generate.assert().success();
    let shown = make(&["--json"]).success().get_output().stdout.clone();
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    let powers: Vec<f64> =
        shown["fronts"].as_array().unwrap().iter().map(|front| front["power"].as_f64().unwrap()).collect();
    assert_eq!(powers, [1.0, 2.0, 4.0]);
    let refused = make(&["--compute-steps", "9", "--out", to]).failure().code(1).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&refused).contains("--compute-steps is 9, expected 1 to 8"));
    let mask = out.path().join("mask.txt");
    let mut convert = Command::cargo_bin("invardiff").unwrap();
    convert.args(["plan", "convert", to]).arg(&mask).args(["--to", "mask"]);
    let refused = convert.assert().failure().code(1).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&refused).contains("neither times nor weights"));
    assert!(!mask.exists());
}

/// The heat maps say what the published rule reuses: below their threshold, from the end of the warm-up to the last step but one.
#[test]
fn the_maps_of_the_report_give_the_published_plan() {
    let out = tempfile::tempdir().unwrap();
    calibrate(out.path(), &["--method", "paper"]);
    let plan = CachePlan::read(out.path().join("paper.json")).unwrap();
    let report = std::fs::read(out.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let warm_up = plan.provenance.warm_up.unwrap();
    let mut seen = 0;
    for map in report["heat_maps"].as_array().unwrap().iter().filter(|map| map["measure"] == "change-rate") {
        let threshold = map["threshold"].as_f64().unwrap();
        for (step, layers) in map["values"].as_array().unwrap().iter().enumerate() {
            for (layer, value) in layers.as_array().unwrap().iter().enumerate() {
                let Some(value) = value.as_f64() else { continue };
                let below = value < threshold && (warm_up..plan.steps() - 1).contains(&step);
                let skipped = plan.gate()[step];
                match map["kind"].as_str().unwrap() {
                    "trunk" => assert_eq!(skipped, below, "step {step}"),
                    kind if !skipped => {
                        let reused = plan.of_kind(Kind::parse(kind).unwrap())[[step, layer]];
                        assert_eq!(reused, below, "step {step}, {kind} {layer}");
                    }
                    _ => continue,
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
    let highlight = report["highlights"].to_string();
    let chart = report["cache_bytes"]["series"][1]["values"][0].as_f64().unwrap();
    assert!(highlight.contains(&format!("{} KiB", (chart / 1024.0) as u64)), "{chart} in {highlight}");
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
    let closed = &printed["closed_loop"];
    assert_eq!(closed["predicted_speedup"], 1.0);
    assert!(closed["measured_speedup"].as_f64().unwrap() > 0.0 && closed["rounds"].as_u64().unwrap() >= 3);
    let notes = printed["notes"].to_string();
    assert!(notes.contains("the plan is") && notes.contains("1.00x was predicted"), "{notes}");
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
        (&["--max-latency", "0.001"], "--max-latency"),
        (&["--method", "paper", "--compute-steps", "5"], "--compute-steps"),
        (&["--method", "paper", "--toward", "own"], "--toward"),
        (&["--cache-budget", "10B"], "--cache-budget"),
        (&["--guard", "2"], "--guard"),
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

#[test]
fn memory_is_kept_within_a_budget_and_in_half_precision() {
    let out = tempfile::tempdir().unwrap();
    let quantiles = ["--step-quantile", "0", "--quantile", "msa=0.6", "--quantile", "mlp=0.6"];
    let whole = calibrate(out.path(), &quantiles);
    let peak = |printed: &Value, name: &str| {
        let rows = printed["table"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name}"));
        row["peak_cache_bytes"].as_u64().unwrap()
    };
    let before = peak(&whole, "paper's rule");
    let budget = before * 3 / 8; // less than half precision alone would need
    let budget_text = budget.to_string();
    let within = calibrate(
        out.path(),
        &[&quantiles[..], &["--cache-budget", &budget_text, "--cache-dtype", "bf16"]].concat(),
    );
    assert!(peak(&within, "paper's rule") <= budget);
    assert!(peak(&within, "paper's rule, kept in f32") > peak(&within, "paper's rule"));
    assert!(within["reused_modules"].as_u64() < whole["reused_modules"].as_u64());
    let notes = within["notes"].to_string();
    assert!(notes.contains("memory budget") && notes.contains(&budget_text), "{notes}");
}

#[test]
fn a_guarded_row_spends_no_more_than_its_share() {
    let out = tempfile::tempdir().unwrap();
    let printed = calibrate(out.path(), &["--compute-steps", "5", "--guard", "0.2", "--plan-modules"]);
    let rows = printed["table"].as_array().unwrap();
    let fraction = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name}"));
        row["compute_fraction"].as_f64().unwrap()
    };
    assert!((fraction("least error") - 5.0 / 8.0).abs() < 1e-9);
    assert!((5.0 / 8.0 - 1e-9..=6.0 / 8.0 + 1e-9).contains(&fraction("least error, guarded")));
    assert!(fraction("least error, modules") <= 6.0 / 8.0 + 1e-9);
    assert!(printed["notes"].to_string().contains("planned by error"));
}

#[test]
fn what_skips_stand_in_for_is_chosen_by_replays_or_by_flag() {
    let out = tempfile::tempdir().unwrap();
    let printed = calibrate(out.path(), &["--compute-steps", "5"]);
    let notes = printed["notes"].to_string();
    let numbers = notes
        .split("replayed on the calibration's conditions, ")
        .nth(1)
        .unwrap()
        .split(" dB")
        .collect::<Vec<_>>();
    let psnr = |part: &str| part.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    let found: Vec<f64> = numbers.iter().take(4).map(|part| psnr(part)).collect();
    let names = [
        "the clean sample extrapolated",
        "the velocity extrapolated",
        "the trunk extrapolated",
        "the trunk held",
    ];
    // In doubt the first; the numbers are rounded to a tenth.
    let most = found.iter().copied().fold(f64::MIN, f64::max);
    let close = |index: &usize| found[*index] > most - 0.61;
    let chosen = (0..4).filter(close).any(|index| notes.contains(&format!("stand in for {}:", names[index])));
    assert!(chosen, "{notes}");
    calibrate(out.path(), &["--compute-steps", "5", "--skip-site", "trunk", "--hold"]);
    let plan = CachePlan::read(out.path().join("plan.json")).unwrap();
    assert_eq!((plan.gate_site(), plan.gate_rule()), (GateSite::Trunk, ReuseRule::Hold));
}

#[test]
fn a_gate_is_carried_over_to_another_number_of_steps() {
    let out = tempfile::tempdir().unwrap();
    calibrate(out.path(), &["--compute-steps", "5"]);
    let transfer = |steps: &str| {
        let mut command = Command::cargo_bin("invardiff").unwrap();
        command.args(["plan", "transfer"]).arg(out.path().join("plan.json"));
        command.args(["--num-inference-steps", steps, "--json", "--out"]).arg(out.path().join("moved.json"));
        command
    };
    let printed = transfer("10").assert().success().get_output().stdout.clone();
    let printed: Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!((&printed["steps"], &printed["confidence"]), (&10.into(), &"high".into()));
    let moved = CachePlan::read(out.path().join("moved.json")).unwrap();
    assert!((3..=5).contains(&moved.skipped_steps()), "{}", moved.skipped_steps());
    let mut generate = Command::cargo_bin("invardiff").unwrap();
    generate.args(["generate", "--class-labels", "3", "--cache-dtype", "f16", "--plan"]);
    generate.arg(out.path().join("moved.json")).arg("--out").arg(out.path().join("moved.png"));
    generate.assert().success();
    let refused = transfer("30").assert().failure().code(1).get_output().stderr.clone();
    let refused = String::from_utf8(refused).unwrap();
    assert!(refused.contains("plan.json") && refused.contains("twice"), "{refused}");
}
