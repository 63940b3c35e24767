//! How much a file may ask for. Plans are small: the published ones take 36 to 73 KB as JSON, and samplers end at 1000 steps. What
//! asks for more is refused before memory or time is spent on it.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use crate::core::{Kind, PlanError, Site};
use crate::encoding;
use crate::files;
use crate::formats::envelope::FILE_LIMIT;

/// The most steps of a plan, a mask, a book, an atlas or a fit that is read.
pub const STEP_LIMIT: usize = 10_000;

/// The most kinds that a file may name.
pub(crate) const KIND_LIMIT: usize = 256;

/// The most sites that a file may name.
pub(crate) const SITE_LIMIT: usize = 1 << 16;

/// The most entries of a matrix `[steps, sites]`.
pub(crate) const ENTRY_LIMIT: usize = 1 << 24;

/// Refuses more steps than [`STEP_LIMIT`].
///
/// # Errors
/// [`PlanError::Range`].
pub(crate) fn steps(found: usize) -> Result<(), PlanError> {
    at_most("steps", found, STEP_LIMIT)
}

/// Refuses sites of more kinds than a file may name, and matrices of more entries.
///
/// # Errors
/// [`PlanError::Range`].
pub(crate) fn sites(steps: usize, sites: impl ExactSizeIterator<Item = Site>) -> Result<(), PlanError> {
    at_most("sites", sites.len(), SITE_LIMIT)?;
    at_most("entries, steps x sites", steps.saturating_mul(sites.len()), ENTRY_LIMIT)?;
    kinds(sites.map(|site| site.kind))
}

/// Refuses more kinds than a file may name.
///
/// # Errors
/// [`PlanError::Range`].
pub(crate) fn kinds(kinds: impl Iterator<Item = Kind>) -> Result<(), PlanError> {
    at_most("kinds", kinds.collect::<HashSet<_>>().len(), KIND_LIMIT)
}

/// Refuses a number above a limit.
///
/// # Errors
/// [`PlanError::Range`] naming what is counted.
pub(crate) fn at_most(what: &str, found: usize, limit: usize) -> Result<(), PlanError> {
    if found <= limit {
        return Ok(());
    }
    let (what, expected) = (format!("the number of {what}"), format!("at most {limit}"));
    Err(PlanError::Range { what, value: found.to_string(), expected })
}

/// The bytes of a file, at most [`FILE_LIMIT`].
///
/// # Errors
/// [`PlanError::Io`]; [`PlanError::Format`] for a larger file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, PlanError> {
    files::read(path, FILE_LIMIT).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => {
            PlanError::Format { what: path.display().to_string(), detail: source.to_string() }
        }
        _ => PlanError::Io { path: path.into(), source },
    })
}

/// The text in a file's bytes; `what` names the file in messages.
///
/// # Errors
/// [`PlanError::Format`] for bytes that are no text.
pub(crate) fn text(bytes: Vec<u8>, what: &str) -> Result<String, PlanError> {
    encoding::decode(bytes)
        .map_err(|error| PlanError::Format { what: what.into(), detail: format!("no text: {error}") })
}

/// The most bytes of JSON that is not ours, and the most lists and objects in it: as values of any kind they take many times their
/// length in memory.
const FOREIGN: (usize, usize) = (4 << 20, 200_000);

/// A JSON object of others, as values of any kind.
///
/// # Errors
/// [`PlanError::Format`] for text that is none, or is longer than a plan can be.
pub(super) fn foreign(text: &str, what: &str) -> Result<Map<String, Value>, PlanError> {
    let (length, lists) = FOREIGN;
    if text.len() > length {
        return Err(wrong(what, format!("larger than {length} bytes")));
    }
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > lists {
        return Err(wrong(what, format!("more than {lists} lists and objects")));
    }
    serde_json::from_str(text).map_err(|error| wrong(what, format!("not a JSON object: {error}")))
}

fn wrong(what: &str, detail: String) -> PlanError {
    PlanError::Format { what: what.into(), detail }
}
