//! Where a model is: a path, or the id of a repository on a hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{Hub, HubId};

/// The file or folder of a model. What is no path is taken for an id (`owner/name`, `owner/name@revision`) and fetched.
///
/// # Errors
/// When it is neither, or cannot be fetched; `also` says in words what else could have been given.
pub(crate) fn locate(model: &str, also: &str) -> Result<PathBuf> {
    let path = Path::new(model);
    if path.exists() {
        return Ok(path.to_owned());
    }
    let Ok(id) = HubId::parse(model) else {
        bail!("there is no such file or folder, and it is no id of a hub (owner/name){also}");
    };
    let hub = Hub::from_env()?;
    hub.fetch(&id)
        .with_context(|| format!("there is no path {model}, so it is taken for the id of a model on a hub"))
}
