//! The style of the workspace as a test.

mod arrows;
mod circles;
mod features;
mod library;
mod links;
mod sources;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::files::{self, File};

/// Something to mend, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The manifest of one crate.
#[derive(Clone, Debug)]
struct Manifest {
    path: String,
    name: String,
    table: toml::Table,
}

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

fn manifest(path: &str, text: &str) -> Result<Option<Manifest>> {
    let table: toml::Table = text.parse().with_context(|| path.to_owned())?;
    if table.contains_key("workspace") {
        return Ok(None);
    }
    let name = table.get("package").and_then(|package| package.get("name")?.as_str()).map(str::to_owned);
    Ok(name.map(|name| Manifest { path: path.to_owned(), name, table }))
}
