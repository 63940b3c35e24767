//! `invardiff plan show|convert|diff|lint`.

use std::path::Path;

use crate::support::{data, error, json, names, run, stdout, write_fashion_plan};

const BOOKS: &str = "invardiff-plan/tests/data/reference-plans";
const DIT_FAST: &str = "dit-xl-2-256/cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json";
const DIT_SLOW: &str = "dit-xl-2-256/cache_books_stp50_n0.0_sth0.61_msa0.2_mlp0.2.json";
const FLUX_FAST: &str =
    "flux1-dev-1024/cache_books_stp28_n0.1_th0.7_attn0.68_ff0.68_ctxff0.68_sattn0.68_smlp0.68.json";
const FLUX_MEDIUM_1: &str =
    "flux1-dev-1024/cache_books_stp28_n0.1_th0.7_attn0.68_ff0_ctxff0_sattn0.68_smlp0.json";
const FLUX_MEDIUM_2: &str =
    "flux1-dev-1024/cache_books_stp28_n0.15_th0.7_attn0.68_ff0_ctxff0_sattn0.7_smlp0.json";
const FLUX_SLOW: &str =
    "flux1-dev-1024/cache_books_stp28_n0.22_th0.72_attn0.68_ff0.66_ctxff0_sattn0.68_smlp0.62.json";

fn book(name: &str) -> String {
    data(&format!("{BOOKS}/{name}"))
}

#[test]
fn the_published_plans_have_the_published_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let expected = [
        (DIT_FAST, "dit-xl-2-256", 30, 2.5, 2.96, None),
        (DIT_SLOW, "dit-xl-2-256", 29, 2.38, 2.63, None),
        (FLUX_FAST, "flux1-dev-1024", 17, 2.55, 3.54, Some(3.98)),
        (FLUX_MEDIUM_1, "flux1-dev-1024", 17, 2.55, 3.0, Some(3.06)),
        (FLUX_MEDIUM_2, "flux1-dev-1024", 16, 2.33, 2.72, None),
        (FLUX_SLOW, "flux1-dev-1024", 14, 2.0, 2.53, Some(2.73)),
    ];
    for (name, model, skipped, gate, all, split) in expected {
        let found = json(folder.path(), &["plan", "show", &book(name), "--json"]);
        assert_eq!((&found["model"], &found["model_assumed"]), (&model.into(), &true.into()), "{name}");
        assert_eq!(found["skipped_steps"], skipped, "{name}");
        assert_eq!((&found["gate_speedup"], &found["speedup"]), (&gate.into(), &all.into()), "{name}");
        if let Some(split) = split {
            assert_eq!(found["split_projection"]["speedup"], split, "{name}");
        }
        let named = json(folder.path(), &["plan", "show", &book(name), "--model", model, "--json"]);
        assert_eq!(named["model_assumed"], false);
        assert_eq!((&named["speedup"], &named["fingerprint"]), (&found["speedup"], &found["fingerprint"]));
    }
    let fast = json(folder.path(), &["plan", "show", &book(DIT_FAST), "--json"]);
    assert_eq!(fast["skip_runs"], serde_json::json!([14, 2, 2, 2, 3, 2, 5]));
    assert_eq!((&fast["kinds"]["msa"]["reused"], &fast["kinds"]["msa"]["marked"]), (&85.into(), &925.into()));
    assert_eq!((&fast["reused_modules"], &fast["named_quantiles"]["trunk"]), (&174.into(), &0.63.into()));
    // 53 kept features of 256 tokens, 1152 channels and 4 bytes.
    assert_eq!(fast["peak_cache_bytes"], 53 * 256 * 1152 * 4);
}

#[test]
fn the_drawing_is_narrow_and_shows_the_gate() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(folder.path(), &["plan", "show", &book(DIT_FAST), "--ascii"]);
    let gate = "..##############.##...##..##.....###....##.#####..";
    assert!(text.lines().any(|line| line.starts_with("gate ") && line.ends_with(gate)), "{text}");
    assert!(text.is_ascii());
    assert!(text.contains("assumed because it has 28 msa, 28 mlp layers"), "{text}");
    assert!(text.contains("2.50x from the gate alone, 2.96x in all"), "{text}");
    assert!(text.lines().filter(|line| line.starts_with("msa ") || line.starts_with("mlp ")).count() < 28);
    let all = stdout(folder.path(), &["plan", "show", &book(DIT_FAST), "--all-layers"]);
    assert_eq!(all.lines().filter(|line| line.starts_with("msa ") && line.contains('·')).count(), 28);
    let flux = stdout(folder.path(), &["plan", "show", &book(FLUX_FAST)]);
    assert!(
        flux.contains("3.54x in all")
            && flux.contains("split projection    2.55x from the gate alone, 3.98x in all")
    );
}

#[test]
fn a_plan_of_ours_says_its_model_and_guidance() {
    let folder = tempfile::tempdir().unwrap();
    write_fashion_plan(folder.path());
    let found = json(folder.path(), &["plan", "show", "plan.json", "--json"]);
    assert_eq!(
        (&found["model"], &found["model_assumed"], &found["guided"]),
        (&"fashion".into(), &false.into(), &true.into())
    );
    assert_eq!(found["peak_cache_bytes"], 2 * 49 * 128 * 4);
    assert_eq!(found["gate_speedup"], 1.33);
    assert_eq!(found["execution"]["timesteps"], serde_json::json!([999.0, 666.0, 333.0, 0.0]));
}

#[test]
fn plans_go_from_format_to_format_and_stay_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (dit, flux) = (book(DIT_FAST), book(FLUX_FAST));
    let convert = |args: &[&str]| stdout(folder.path(), &[&["plan", "convert"], args].concat());
    convert(&[&dit, "dit.json"]);
    convert(&["dit.json", "dit.bin"]);
    convert(&["dit.bin", "dit-book.json", "--to", "authors-dit"]);
    convert(&["dit-book.json", "dit-v2.json", "--to", "authors-v2"]);
    convert(&["dit-v2.json", "dit-wan.json", "--to", "authors-wan"]);
    for other in ["dit.json", "dit.bin", "dit-book.json", "dit-v2.json", "dit-wan.json"] {
        let found = json(folder.path(), &["plan", "diff", &dit, other, "--json"]);
        assert_eq!((&found["equal"], &found["silent"]), (&true.into(), &0.into()), "{other}");
    }
    convert(&[&flux, "flux.json", "--to", "authors-flux"]);
    let value = |path: &Path| {
        serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    assert_eq!(value(&folder.path().join("flux.json")), value(Path::new(&flux)));
    assert_eq!(value(&folder.path().join("dit-book.json")), value(Path::new(&dit)));
}

#[test]
fn masks_and_smoothcache_say_one_half_of_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let dit = book(DIT_FAST);
    let here = folder.path();
    let message = error(here, &["plan", "convert", &dit, "mask.txt", "--to", "mask"]);
    assert!(message.contains("the plan reuses 174; convert its gate alone (--part gate)"), "{message}");
    stdout(here, &["plan", "convert", &dit, "mask.txt", "--to", "mask", "--part", "gate"]);
    assert!(std::fs::read_to_string(here.join("mask.txt")).unwrap().starts_with("1,1,0,0,0"));
    let message = error(here, &["plan", "show", "mask.txt"]);
    assert!(message.contains("--model is missing: mask.txt"), "{message}");
    let found = json(here, &["plan", "show", "mask.txt", "--model", "dit-xl-2-256", "--json"]);
    assert_eq!((&found["gate_speedup"], &found["speedup"]), (&2.5.into(), &2.5.into()));
    let message = error(here, &["plan", "convert", &dit, "s.json", "--to", "smoothcache"]);
    assert!(message.contains("the plan skips step 2"), "{message}");
    std::fs::write(here.join("smooth.json"), r#"{"attn":[1,0,0],"mlp":[1,1,0]}"#).unwrap();
    let found = json(here, &["plan", "show", "smooth.json", "--model", "fashion", "--json"]);
    assert_eq!((&found["kinds"]["msa"]["reused"], &found["kinds"]["mlp"]["reused"]), (&16.into(), &8.into()));
    stdout(here, &["plan", "convert", "smooth.json", "p.json", "--model", "fashion"]);
    stdout(here, &["plan", "convert", "p.json", "back.json", "--to", "smoothcache"]);
    assert!(run(here, &["plan", "diff", "smooth.json", "back.json", "--model", "fashion"]).status.success());
    assert_eq!(names(here), ["back.json", "mask.txt", "p.json", "smooth.json"]);
}

#[test]
fn plans_that_differ_are_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let (fast, slow) = (book(DIT_FAST), book(DIT_SLOW));
    let output = run(folder.path(), &["plan", "diff", &fast, &slow]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("skipped only left: step 4, 11, 35")
            && text.contains("skipped only right: step 38, 39"),
        "{text}"
    );
    let output = run(folder.path(), &["plan", "diff", &fast, &slow, "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&found["equal"], &found["skipped_right"]), (&false.into(), &serde_json::json!([38, 39])));
}

#[test]
fn lint_fails_for_a_plan_that_cannot_run_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let found = json(here, &["plan", "lint", &book(DIT_FAST), "--json"]);
    assert_eq!((&found["errors"], &found["model"]), (&0.into(), &"dit-xl-2-256".into()));
    let texts: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|f| f["text"].as_str().unwrap()).collect();
    assert!(texts.contains(&"the longest run of skipped steps is 14, from step 2"), "{texts:?}");
    std::fs::write(here.join("early.json"), r#"{"attn":[0,1],"mlp":[1,1]}"#).unwrap();
    let output = run(here, &["plan", "lint", "early.json", "--model", "fashion"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.lines().any(|line| line.starts_with("error    msa[0] is reused before it is computed")),
        "{text}"
    );
    let message = error(here, &["plan", "show", "early.json", "--model", "fashion"]);
    assert!(message.contains("early.json: msa[0] is reused at step 0"), "{message}");
}

#[test]
fn files_that_are_no_plans_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let whole = std::fs::read(book(DIT_FAST)).unwrap();
    std::fs::write(here.join("cut.json"), &whole[..whole.len() / 2]).unwrap();
    stdout(here, &["plan", "convert", &book(DIT_FAST), "whole.bin"]);
    let bytes = std::fs::read(here.join("whole.bin")).unwrap();
    std::fs::write(here.join("cut.bin"), &bytes[..bytes.len() - 7]).unwrap();
    std::fs::write(here.join("notes.txt"), "no plan at all").unwrap();
    let cases = [
        ("missing.json", "missing.json: No such file"),
        ("cut.json", "cut.json: not a JSON object: EOF"),
        ("cut.bin", "cut.bin: the file is cut short"),
        ("notes.txt", "notes.txt: no plan"),
        (".", "."),
    ];
    for (file, expected) in cases {
        for command in
            [&["plan", "show", file][..], &["plan", "lint", file], &["plan", "diff", "whole.bin", file]]
        {
            let message = error(here, command);
            assert!(message.contains(expected), "{command:?}: {message}");
        }
        let message = error(here, &["plan", "convert", file, "out.json"]);
        assert!(message.contains(expected), "{message}");
    }
    let message = error(here, &["plan", "show", "whole.bin", "--model", "dit-xs"]);
    assert!(message.contains("--model dit-xs") && message.contains("dit-xl-2-256"), "{message}");
    let message = error(here, &["plan", "show", "whole.bin", "--model", "fashion"]);
    assert!(message.contains("whole.bin: the plan was made for other sites than"), "{message}");
    let message = error(here, &["plan", "convert", "whole.bin", "out.yaml"]);
    assert!(message.contains("out.yaml: its extension is neither .json nor .bin"), "{message}");
    let message = error(here, &["plan", "convert", "whole.bin", "nowhere/out.json"]);
    assert!(message.contains("cannot write nowhere/out.json: there is no folder nowhere"), "{message}");
    assert_eq!(names(here), ["cut.bin", "cut.json", "notes.txt", "whole.bin"]);
}
