//! The fixtures of this repository, all of them and as lines.

use std::collections::BTreeMap;

use assert_cmd::Command;

use crate::copy::{failures, parity, shipped};

#[test]
fn every_shipped_fixture_passes() {
    let (lines, code) = parity(&[]);
    assert_eq!(failures(&lines), []);
    assert_eq!(code, 0);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        assert!(line["error"].as_f64().unwrap() <= line["tolerance"].as_f64().unwrap(), "{line}");
        *kinds.entry(line["kind"].as_str().unwrap_or("books")).or_default() += 1;
    }
    for (kind, least) in [
        ("dit", 40),
        ("dit (trained)", 25),
        ("dit_calibration", 100),
        ("flux", 20),
        ("flux_calibration", 25),
        ("text_encoders", 12),
        ("autoencoder_kl", 18),
        ("analyser_dit", 15),
        ("analyser_flux", 10),
        ("analyser_wan", 10),
        ("quantile_and_rate", 26),
        ("schedulers", 40),
        ("image_metrics", 24),
        ("quantised_weights", 100),
        ("books", 6),
    ] {
        assert!(kinds.get(kind).is_some_and(|count| *count >= least), "{kind}: {kinds:?}");
    }
}

#[test]
fn a_line_says_the_error_and_the_tolerance() {
    let folder = shipped("invardiff-models", "dit_tiny");
    let output = Command::cargo_bin("invardiff").unwrap().arg("parity").arg(&folder).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    for check in ["forward out", "forward out, weights.pt", "block3.hidden", "cfg.out", "latents", "pred_x0"]
    {
        let line = text.lines().find(|line| line.contains(&format!("  {check}  "))).unwrap();
        assert!(line.starts_with("ok    dit_tiny ") && line.contains("e-"), "{line}");
    }
    let exact = text.lines().find(|line| line.contains("timestep_map")).unwrap();
    assert!(exact.trim_end().ends_with("0        0  entries"), "{exact}");
    let last = text.lines().last().unwrap();
    assert_eq!(last, format!("{} passed, 0 failed", text.lines().count() - 1));
}

#[test]
fn a_parent_stands_for_the_folders_below_it() {
    let parent = shipped("invardiff-plan", "");
    let (lines, code) = parity(&[&parent.join("analyser_dit"), &parent.join("reference-plans")]);
    assert_eq!((failures(&lines), code), (vec![], 0));
    let books: Vec<&str> =
        lines.iter().filter(|line| line["kind"].is_null()).map(|l| l["note"].as_str().unwrap()).collect();
    assert_eq!(books.len(), 6);
    for said in [
        "2.50x by the gate, 2.96x in all on dit-xl-2-256",
        "2.55x by the gate, 3.54x in all on flux1-dev-1024",
    ] {
        assert!(books.iter().any(|note| note.contains(said)), "{books:?}");
    }
}
