//! Files that are there whole or not at all, with their names in errors.

use std::path::Path;

use invardiff_plan::files;

use crate::error::{Error, Result};

/// Writes a file, or replaces it, whole or not at all.
///
/// # Errors
/// As [`files::write`]; names `path`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    files::write(path, bytes).map_err(unwritable(path))
}

/// Refuses a place where [`write()`] could not write, before the work whose result goes there; leaves nothing behind.
///
/// # Errors
/// As [`write()`].
pub fn check_writable(path: &Path) -> Result<()> {
    files::check_writable(path).map_err(unwritable(path))
}

/// The text of a file of settings, within their limit of length.
///
/// # Errors
/// As [`files::read_text`]; names `path`.
pub fn settings(path: &Path) -> Result<String> {
    files::read_text(path, files::SETTINGS_LIMIT).map_err(Error::io(path))
}

fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    |error| Error::Write { path: path.to_owned(), problem: error.to_string() }
}
