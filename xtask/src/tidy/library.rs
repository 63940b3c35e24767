//! What a user of a library does not compile unless asked.

use std::path::Path;

use anyhow::Result;

use super::features::{name, tree};
use super::finding::Finding;

/// A library, and packages that it does not select with its default features, each by the start of its name.
const WITHOUT: [(&str, &[&str]); 2] = [
    ("invardiff-plan", &["burn", "clap", "anyhow", "indicatif", "hf-hub", "ureq"]),
    ("invardiff", &["clap", "anyhow", "hf-hub", "ureq", "reqwest", "hyper", "indicatif"]),
];

/// Checks that nothing below a library brings along what its users did not ask for.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (library, without) in WITHOUT {
        let selected = tree(root, &["--package", library, "--edges", "normal"])?;
        let unasked = selected.iter().filter(|line| is_unasked(name(line), without));
        findings.extend(unasked.map(|line| {
            Finding::new(format!("crates/{library}/Cargo.toml"), format!("selects {line} by default"))
        }));
    }
    Ok(findings)
}

fn is_unasked(package: &str, without: &[&str]) -> bool {
    without.iter().any(|start| {
        package.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_known_by_the_start_of_their_names() {
        for package in ["clap", "clap_builder", "burn-flex", "ureq"] {
            assert!(is_unasked(package, &["clap", "burn", "ureq"]), "{package}");
        }
        for package in ["clapper", "anstyle", "burns"] {
            assert!(!is_unasked(package, &["clap", "burn", "ureq"]), "{package}");
        }
    }
}
