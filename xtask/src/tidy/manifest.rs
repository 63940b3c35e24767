//! The manifest of a crate.

use anyhow::{Context, Result};

/// The manifest of one crate.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) table: toml::Table,
}

/// Reads a manifest; that of a workspace is none of a crate.
pub(super) fn manifest(path: &str, text: &str) -> Result<Option<Manifest>> {
    let table: toml::Table = text.parse().with_context(|| path.to_owned())?;
    if table.contains_key("workspace") {
        return Ok(None);
    }
    let name = table.get("package").and_then(|package| package.get("name")?.as_str()).map(str::to_owned);
    Ok(name.map(|name| Manifest { path: path.to_owned(), name, table }))
}
