//! The style of the workspace as a test.

mod arrows;
mod circles;
mod features;
mod finding;
mod library;
mod links;
mod manifest;
mod sources;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::files::{self, File};

use manifest::{Manifest, manifest};

/// Runs all checks and prints what they find.
///
/// # Errors
/// When anything is found, or a file cannot be read.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = files::list(root)?;
    let manifests = manifests(&files)?;
    let mut findings = arrows::check(&manifests);
    findings.extend(circles::check(&files));
    findings.extend(sources::check(&files));
    findings.extend(links::check(root, &files));
    findings.extend(features::check(root, &manifests)?);
    findings.extend(library::check(root)?);
    for finding in &findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "tidy found {}, listed above", findings.len());
    println!("tidy: {} files and {} crates, nothing to mend", files.len(), manifests.len());
    Ok(())
}

/// The manifests of all crates. The workspace's own is none, neither is that of a crate that is a workspace by itself, and
/// stand-ins for crates of others are not held to its rules.
fn manifests(files: &[File]) -> Result<Vec<Manifest>> {
    let mut found = Vec::new();
    let own = |file: &&File| file.path.ends_with("/Cargo.toml") && !file.path.starts_with("vendor/");
    for file in files.iter().filter(own) {
        let text = file.text_of("toml").with_context(|| format!("{} is no text", file.path))?;
        found.extend(manifest(&file.path, text)?);
    }
    Ok(found)
}
