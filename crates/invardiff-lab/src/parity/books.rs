//! Books of the authors without a manifest: read, written again, and lowered.

use std::path::{Path, PathBuf};

use invardiff_plan::formats::{AuthorBook, BookName, FILE_LIMIT};
use invardiff_plan::{Cost, Topology, files};
use serde_json::Value;

use super::check::{Checks, Deviation};
use super::compare::differing;
use super::find::is_book;
use crate::error::{Context, Result, ensure};

/// Compares every book with itself, written again.
///
/// # Errors
/// When the folder cannot be listed.
pub(super) fn check(folder: &Path, checks: &mut Checks) -> Result<()> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| is_book(path));
    files.sort_unstable();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        checks.run(name.clone(), || one(folder, &path, &name));
    }
    Ok(())
}

fn one(folder: &Path, path: &Path, name: &str) -> Result<Deviation> {
    let text = files::read_text(path, FILE_LIMIT)?;
    let book = AuthorBook::from_json(&text, name)?;
    if let Some(steps) = BookName::parse(name).and_then(|name| name.steps()) {
        ensure!(steps == book.steps(), "the name says {steps} steps, the book has {}", book.steps());
    }
    let written = book.to_json();
    let again = AuthorBook::from_json(&written, "the book as written again")?;
    let differ = [
        again.gate() != book.gate(),
        again.streams() != book.streams(),
        serde_json::from_str::<Value>(&written)? != serde_json::from_str::<Value>(&text)?,
    ];
    let note = predicted(folder, &book).context("it cannot be replayed")?;
    Ok(differing(differ.iter().filter(|differs| **differs).count()).with_note(note))
}

/// The predicted speed-up on the published model with these layers: the model that the folder is named after, or the first one.
fn predicted(folder: &Path, book: &AuthorBook) -> Result<String> {
    let plan = book.plan(&book.topology())?;
    plan.schedule(&book.topology())?;
    let skipped = format!("{} of {} steps skipped", plan.skipped_steps(), plan.steps());
    let name = folder.file_name().unwrap_or_default();
    let mut models = Topology::named_with_sites(plan.sites());
    models.sort_by_key(|model| name != model.model.as_str());
    let Some(model) = models.first() else {
        return Ok(skipped);
    };
    let cost = Cost::of(&book.plan(model)?, model)?;
    let (gate, all) = (cost.gate_speedup(), cost.speedup());
    Ok(format!("{skipped}; predicted {gate:.2}x by the gate, {all:.2}x in all on {}", model.model))
}
