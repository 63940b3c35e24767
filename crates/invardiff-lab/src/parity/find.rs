//! Finds the folders to check.

use std::path::{Path, PathBuf};

use super::folder::MANIFEST;
use crate::error::{Result, bail};

/// How many levels below a given folder are searched.
const DEPTH: usize = 8;

/// What a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A manifest.
    Fixture,
    /// Cache books of the authors, without a manifest.
    Books,
}

/// A folder to check.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The folder.
    pub(crate) path: PathBuf,
    /// What it holds.
    pub(crate) holds: Holds,
}

/// The folder itself, or the fixtures below it, sorted.
///
/// # Errors
/// When there is no such folder, or nothing to check in it.
pub(crate) fn find(path: &Path) -> Result<Vec<Found>> {
    if !path.is_dir() {
        bail!("there is no such folder");
    }
    let mut found = Vec::new();
    descend(path, DEPTH, &mut found)?;
    if found.is_empty() {
        bail!("neither the folder nor one below it has a {MANIFEST} or books of the authors");
    }
    Ok(found)
}

/// The fixtures in the tests of this repository; empty where the program runs without its sources.
pub(crate) fn shipped() -> Vec<Found> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let Ok(entries) = crates.canonicalize().and_then(std::fs::read_dir) else {
        return Vec::new();
    };
    let mut data: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path().join("tests").join("data")).collect();
    data.sort_unstable();
    data.iter().filter_map(|path| find(path).ok()).flatten().collect()
}

fn descend(path: &Path, depth: usize, found: &mut Vec<Found>) -> Result<()> {
    if path.join(MANIFEST).is_file() {
        found.push(Found { path: path.to_owned(), holds: Holds::Fixture });
        return Ok(());
    }
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort_unstable();
    if paths.iter().any(|path| is_book(path)) {
        found.push(Found { path: path.to_owned(), holds: Holds::Books });
    }
    for below in paths.iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        if depth > 0 {
            descend(below, depth - 1, found)?;
        }
    }
    Ok(())
}

/// Whether a file is named like the authors' books.
pub(crate) fn is_book(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = name.starts_with("cache_books_") || name.starts_with("invardiff_");
    named && path.extension().is_some_and(|extension| extension == "json") && path.is_file()
}
