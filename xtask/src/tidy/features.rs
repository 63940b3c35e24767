//! One burn: whichever package is selected, the crates below burn have the same features.
//!
//! Where they differ, cargo compiles burn once more for that selection, which takes minutes. The crate `workspace-hack`
//! pins the features; this check says which pin is missing.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::arrows::dependencies;
use super::finding::Finding;
use super::manifest::Manifest;
use crate::cargo::cargo;

/// Packages with their features, as `name vX.Y.Z features`.
pub(super) type Selection = BTreeSet<String>;

/// Compares what single packages select with what the whole workspace selects.
pub(super) fn check(root: &Path, manifests: &[Manifest]) -> Result<Vec<Finding>> {
    let everything = tree(root, &["--workspace", "--edges", "normal,build,dev"])?;
    let below: BTreeSet<String> =
        tree(root, &["--package", "burn", "--package", "burn-store", "--edges", "normal,build"])?
            .iter()
            .map(|line| name(line).to_owned())
            .collect();
    let compare = |selected: &Selection, place: &str| -> Vec<Finding> {
        let odd = differing(selected, &everything, &below).into_iter();
        odd.map(|line| Finding::new(place, format!("alone it selects {line}: pin it in workspace-hack")))
            .collect()
    };
    let plain = tree(root, &["--workspace", "--edges", "normal,build"])?;
    let mut findings = compare(&plain, "the workspace without tests");
    let binary = tree(root, &["--package", "invardiff-cli", "--edges", "normal,build"])?;
    findings.extend(compare(&binary, "the package invardiff-cli without tests"));
    for manifest in manifests {
        if dependencies(&manifest.table).iter().any(|name| name == "burn") {
            let alone = tree(root, &["--package", &manifest.name, "--edges", "normal,build,dev"])?;
            findings.extend(compare(&alone, &manifest.path));
        }
    }
    Ok(findings)
}

/// The packages that a `cargo tree` lists, with their features.
pub(super) fn tree(root: &Path, args: &[&str]) -> Result<Selection> {
    let mut cargo = cargo(root);
    cargo.args(["tree", "--quiet", "--prefix", "none", "--format", "{p} {f}"]).args(args);
    let output = cargo.output().context("cargo tree")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree {} failed: {complaint}", args.join(" "));
    Ok(text.lines().map(|line| line.trim_end_matches("(*)").trim_end().to_owned()).collect())
}

/// The lines of `selected` that are about a package in `below` and not in `everything`.
fn differing<'a>(selected: &'a Selection, everything: &Selection, below: &BTreeSet<String>) -> Vec<&'a str> {
    let odd = |line: &&String| below.contains(name(line)) && !everything.contains(*line);
    selected.iter().filter(odd).map(String::as_str).collect()
}

/// The package in a line of [`tree`].
pub(super) fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_less_below_burn_is_found() {
        let set = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<BTreeSet<_>>();
        let everything = set(&["regex v1.2.3 perf,std", "clap v4.0.0 std"]);
        let below = set(&["regex"]);
        let alone = set(&["regex v1.2.3 perf", "clap v4.0.0 "]);
        assert_eq!(differing(&alone, &everything, &below), ["regex v1.2.3 perf"]);
        assert!(differing(&everything, &everything, &below).is_empty());
    }
}
