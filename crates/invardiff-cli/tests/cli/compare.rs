//! `invardiff compare`: a small comparison of every sort of method.

use serde_json::Value;

use crate::support::{error, json, names, run};

const SMALL: [&str; 10] = [
    "--num-inference-steps",
    "10",
    "--runs",
    "3",
    "--images",
    "2",
    "--converged-steps",
    "40",
    "--out",
    "study",
];

fn points<'a>(study: &'a Value, name: &str) -> Vec<&'a Value> {
    let panels =
        study["panels"].as_array().unwrap().iter().flat_map(|panel| panel["lines"].as_array().unwrap());
    let lines = study["baselines"].as_array().unwrap().iter().chain(panels);
    let line =
        lines.into_iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("no line {name}"));
    line["points"].as_array().unwrap().iter().collect()
}

fn number(point: &Value, key: &str) -> f64 {
    point.pointer(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("{key} of {point}"))
}

#[test]
fn every_sort_of_method_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let methods = [
        "ddim=5",
        "ddim-times=5",
        "dpm-solver++-times=4",
        "random=5",
        "uniform=5",
        "extrapolated=5",
        "least-error=5",
        "fitted=5",
        "fitted-own=4",
        "unipc=5",
        "unipc-3-times=5",
        "spectrum=2",
        "paper=0.5",
        "paper-unguided=0.5",
        "paper-runs=1,3",
        "fora=1,2",
        "smoothcache=0.3",
        "taylorseer-1=2",
        "teacache=0,0.4",
        "first-block=1000",
        "dbcache-2-1=1000",
        "magcache=0.5",
        "dpm-solver++/5+extrapolated=5,3",
    ];
    let mut args = vec!["compare", "--json"];
    args.extend(SMALL);
    for method in methods {
        args.extend(["--method", method]);
    }
    let study = json(folder.path(), &args);
    let one = |name: &str| number(points(&study, name)[0], "/compute_fraction");
    assert_eq!(points(&study, "ddim")[0]["setting"], "steps 5");
    assert_eq!(one("ddim"), 0.5);
    assert_eq!([one("ddim-times"), one("dpm-solver++-times")], [0.5, 0.4]);
    assert_eq!([one("fitted"), one("fitted-own"), one("unipc"), one("unipc-3-times")], [0.5, 0.4, 0.5, 0.5]);
    let exact = |name: &str| number(points(&study, name)[0], "/converged/psnr_mean");
    assert!(exact("fitted") > exact("ddim"), "{} {}", exact("fitted"), exact("ddim"));
    // A skipped step still computes the last layer.
    assert!((one("random") - 0.5).abs() < 0.01, "{}", one("random"));
    let facts = study["facts"].to_string();
    assert!(
        facts.contains("skips of least-error stand in for") && facts.contains("5 steps: the "),
        "{facts}"
    );
    // What never skips is the full run, bit for bit: PSNR of equal images.
    for name in ["fora", "teacache"] {
        let point = points(&study, name)[0];
        assert!((number(point, "/compute_fraction") - 1.0).abs() < 1e-12, "{point}");
        assert_eq!(number(point, "/full/psnr_mean"), 100.0, "{point}");
        // A policy that may skip keeps what it would skip by: two hidden states of both halves of an image.
        let bytes = if name == "fora" { 0 } else { 2 * 2 * 49 * 128 * 4 };
        assert_eq!(point["peak_cache_bytes"], bytes, "{name}");
    }
    // Two runs are fewer measurements than three; both are drawn.
    assert_eq!(points(&study, "paper-runs").len(), 2);
    // Every step after the first skips: one block of eight is computed in nine steps of ten, three of them with DBCache.
    let [first, some] = [one("first-block"), one("dbcache-2-1")];
    assert!((first - (1.0 + 9.0 / 8.0) / 10.0).abs() < 0.05 && first < some && some < 0.5, "{first} {some}");
    // On five steps of another solver, computing all five is that solver, and three are less.
    let [all, three] = points(&study, "dpm-solver++ 5 + extrapolated")[..] else { panic!("two points") };
    assert!((number(all, "/compute_fraction") - 0.5).abs() < 1e-9);
    assert!((number(three, "/compute_fraction") - 0.3).abs() < 1e-9);
    for point in methods.iter().flat_map(|method| {
        let name = method.split('=').next().unwrap().replace("dpm-solver++/5+", "dpm-solver++ 5 + ");
        points(&study, &name)
    }) {
        assert!(
            number(point, "/full/psnr_mean") > 8.0 && number(point, "/converged/psnr_mean") > 8.0,
            "{point}"
        );
        assert!(number(point, "/measured_speedup") > 0.0 && number(point, "/cpu_speedup") > 0.0, "{point}");
        // Two images, of two classes, seen by the embedded classifier.
        assert!([0.0, 0.5, 1.0].contains(&number(point, "/accuracy")), "{point}");
        assert!(number(point, "/frechet").is_finite() && number(point, "/frechet") > 0.0, "{point}");
    }
    let written = names(&folder.path().join("study"));
    for file in [
        "study.html",
        "study.json",
        "points.csv",
        "points.md",
        "panel-1-full.svg",
        "panel-4-converged.svg",
        "strip-1.png",
    ] {
        assert!(written.contains(&file.to_owned()), "{file} is not in {written:?}");
    }
    let table = std::fs::read_to_string(folder.path().join("study/points.csv")).unwrap();
    // The header, the full run, one setting of DDIM, and the rest.
    assert_eq!(table.lines().count(), 1 + 1 + 1 + 26);
}

#[test]
fn a_setting_that_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let message =
        |method: &str| error(folder.path(), &[&["compare", "--method", method], &SMALL[..]].concat());
    assert!(message("uniform=99").contains("uniform, steps 99"));
    assert!(message("paper-ff=0.5").contains("'ff'"));
    assert!(message("ddim-times=99").contains("99, expected 1 to 10"));
    assert!(message("flow-match-euler-times=4").contains("flow-match-euler"));
    assert!(message("paper-runs=9").contains("more calibration runs than there are"));
    assert!(message("plans-mine=missing.json").contains("missing.json"));
    let output = run(folder.path(), &["compare", "--method", "foracache=2"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no method 'foracache'"));
}

/// Settings at the ends of what the defaults ask for: a tenth of a long run computed, modules compared over all of it, and the
/// default number of converged steps.
#[test]
fn the_ends_of_the_default_settings_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "compare",
        "--json",
        "--runs",
        "2",
        "--images",
        "1",
        "--out",
        "study",
        "--num-inference-steps",
        "40",
    ];
    let methods = ["least-error=6", "ddim-times=6", "paper-modules=0.8", "paper=0.8"];
    let methods = methods.iter().flat_map(|method| ["--method", method]);
    let study = json(folder.path(), &args.iter().copied().chain(methods).collect::<Vec<_>>());
    assert_eq!(number(points(&study, "ddim-times")[0], "/compute_fraction"), 0.15);
    assert!(number(points(&study, "paper-modules")[0], "/compute_fraction") < 0.6);
    assert!(study["facts"].to_string().contains("999 steps of dpm-solver++"), "{}", study["facts"]);
}

/// Without any method named, all of them are drawn, and what is named besides.
#[test]
fn all_methods_are_drawn_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["compare", "--json", "--num-inference-steps", "12", "--runs", "2", "--images", "1"];
    let more = ["--converged-steps", "0", "--out", "study", "--also", "uniform=9"];
    let study = json(folder.path(), &[&args[..], &more[..]].concat());
    let panels = study["panels"].as_array().unwrap();
    let titles: Vec<&str> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    assert_eq!(titles.last(), Some(&"Besides"), "{titles:?}");
    let solvers = ["ddim", "dpm-solver++", "ddim-times", "dpm-solver++-times"];
    let plans =
        ["random", "uniform", "extrapolated", "least-error", "paper", "paper-modules", "fora", "smoothcache"];
    let rules = ["taylorseer-2", "teacache", "first-block", "dbcache-2-1", "magcache"];
    let on_top = ["dpm-solver++ 6 + least-error", "dpm-solver++ 6 + fora", "dpm-solver++ 6 + magcache"];
    for name in solvers.iter().chain(&plans).chain(&rules).chain(&on_top) {
        assert!(points(&study, name).iter().all(|point| number(point, "/full/psnr_mean") > 5.0), "{name}");
    }
}
