//! Plans: made, replayed, checked, published.

use std::path::{Path, PathBuf};

use super::super::models;
use crate::command::{Png, error, json, names, printed};
use crate::tiny::{Sizes, write_flux};

/// What a run of the tiny model is, but for what it draws.
const RUN: [&str; 8] =
    ["--height", "32", "--width", "32", "--max-sequence-length", "16", "--num-inference-steps", "8"];

#[test]
fn a_calibration_makes_a_plan_that_is_replayed_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("prompts.txt"), "a red cat\na blue dog\na fox\n").unwrap();
    let model = models().diffusers();
    let model = ["--model", model.to_str().unwrap()];
    let prompts =
        ["--prompts", "prompts.txt", "--images", "2", "--converged-steps", "0", "--out", "made", "--json"];
    let found = json(here, &[&["calibrate"], &model[..], &RUN, &prompts].concat());
    assert_eq!(found["full_steps"], 8);
    let written = names(&here.join("made"));
    for file in ["plan.json", "plan.bin", "paper.json", "least-error.json", "report.html"] {
        assert!(written.contains(&file.to_owned()), "{file}: {written:?}");
    }
    // The published rule: prompts in order, one seed for all.
    let plan: serde_json::Value =
        serde_json::from_slice(&std::fs::read(here.join("made/plan.json")).unwrap()).unwrap();
    let text = plan.to_string();
    assert!(text.contains("\"conditions\":[\"a red cat\",\"a blue dog\",\"a fox\"]"), "{text}");
    assert!(text.contains("\"seeds\":[0,0,0]"), "{text}");
    // The plan says the size, the steps and the guidance.
    let draw = ["--prompt", "a bird", "--max-sequence-length", "16", "--out", "a.png", "--json"];
    let plan = ["--plan", "made/plan.json"];
    let found = json(here, &[&["generate"], &model[..], &plan, &draw].concat());
    assert_eq!((&found["height"], &found["num_inference_steps"]), (&32.into(), &8.into()));
    assert!(found["predicted_speedup"].as_f64().unwrap() >= 1.0);
    assert_eq!(Png::read(&here.join("a.png")).size, (32, 32));
    let short = ["--max-sequence-length", "16", "--prompt", "a bird"];
    let (lines, _) = printed(here, &[&["verify"], &model[..], &plan, &short].concat());
    assert!(lines.ends_with("checks passed\n") && !lines.contains("FAIL"), "{lines}");
    let message = error(here, &[&["generate"], &model[..], &plan, &draw[..6], &["--height", "48"]].concat());
    assert!(message.contains("size is 32x32 in the plan and 48x32 here"), "{message}");
    let message = error(
        here,
        &[&["generate"], &model[..], &plan, &draw[..6], &["--num-inference-steps", "9"]].concat(),
    );
    assert!(message.contains("the plan has 8 steps and cannot be stretched"), "{message}");
}

#[test]
fn a_gate_is_carried_over_to_another_number_of_steps() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let model = models().diffusers();
    let model = ["--model", model.to_str().unwrap()];
    let made = ["--prompt", "a fox", "--images", "1", "--converged-steps", "0", "--out", "made"];
    printed(here, &[&["calibrate", "--compute-steps", "5"], &model[..], &RUN, &made].concat());
    let transfer =
        ["plan", "transfer", "made/least-error.json", "--num-inference-steps", "10", "--out", "ten.json"];
    let found = json(here, &[&transfer[..], &model, &["--json"]].concat());
    assert_eq!((&found["steps"], &found["confidence"]), (&10.into(), &"high".into()));
    let draw = ["generate", "--prompt", "a bird", "--max-sequence-length", "16", "--plan", "ten.json"];
    printed(here, &[&draw[..], &model, &["--out", "a.png"]].concat());
    assert_eq!(Png::read(&here.join("a.png")).text["num_inference_steps"], "10");
    assert!(error(here, &transfer).contains("--model is missing: the plan was made for flux-2+3x32"));
}

#[test]
fn everything_holds_with_and_without_a_negative_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let model = models().diffusers();
    let verify =
        [&["verify", "--model", model.to_str().unwrap()], &RUN[..6], &["--num-inference-steps", "5"]]
            .concat();
    for more in [&[][..], &["--negative-prompt", "fog", "--true-cfg-scale", "2"], &["--dtype", "bf16"]] {
        let found = json(folder.path(), &[&verify[..], more, &["--json"]].concat());
        assert_eq!((&found["passed"], &found["failed"]), (&10.into(), &0.into()), "{more:?}: {found:#}");
        assert_eq!(found["prompts"], serde_json::json!(["a red panda in the snow"]));
    }
}

fn published(name: &str) -> PathBuf {
    let folder = "../invardiff-plan/tests/data/reference-plans/flux1-dev-1024";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name)
}

/// The published plans for FLUX.1-dev on a model of as many blocks: drawn under each, with the speed-up that is predicted.
#[test]
fn the_published_plans_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    write_flux(&here.join("deep"), &Sizes::DEEP);
    let draw = |out: &str, plan: &[&str]| {
        let run = [
            "--height",
            "32",
            "--width",
            "32",
            "--max-sequence-length",
            "8",
            "--prompt",
            "a fox",
            "--out",
            out,
        ];
        json(here, &[&["generate", "--model", "deep", "--json"], &run[..], plan].concat())
    };
    let full = draw("full.png", &[]);
    assert_eq!((&full["num_inference_steps"], &full["guidance_scale"]), (&28.into(), &3.5.into()));
    let mut images = vec![Png::read(&here.join("full.png")).bytes];
    for (name, skipped) in [
        ("cache_books_stp28_n0.1_th0.7_attn0.68_ff0.68_ctxff0.68_sattn0.68_smlp0.68.json", 17),
        ("cache_books_stp28_n0.1_th0.7_attn0.68_ff0_ctxff0_sattn0.68_smlp0.json", 17),
        ("cache_books_stp28_n0.15_th0.7_attn0.68_ff0_ctxff0_sattn0.7_smlp0.json", 16),
        ("cache_books_stp28_n0.22_th0.72_attn0.68_ff0.66_ctxff0_sattn0.68_smlp0.62.json", 14),
    ] {
        let book = published(name);
        let found = draw("cached.png", &["--plan", book.to_str().unwrap()]);
        assert_eq!(found["skipped_steps"], skipped, "{name}");
        let (speedup, gate) =
            (found["predicted_speedup"].as_f64().unwrap(), 28.0 / (28.0 - f64::from(skipped)));
        assert!(speedup >= gate * 0.9 && speedup < 2.0 * gate, "{name}: {speedup} {gate}");
        assert!(found["peak_cache_bytes"].as_u64().unwrap() > 0);
        images.push(Png::read(&here.join("cached.png")).bytes);
    }
    for (index, image) in images.iter().enumerate() {
        assert!(!images[..index].contains(image), "plan {index} draws what another draws");
    }
}
