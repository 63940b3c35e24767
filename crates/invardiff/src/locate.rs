//! Where a model is: a path, or the id of a repository on a hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{Embedded, Hub, HubId};

/// The file or folder of a model. What is no path is taken for an id (`owner/name`, `owner/name@revision`) and fetched.
///
/// # Errors
/// When it is neither, or cannot be fetched.
pub(crate) fn locate(model: &str) -> Result<PathBuf> {
    let path = Path::new(model);
    if path.exists() {
        return Ok(path.to_owned());
    }
    let Ok(id) = HubId::parse(model) else {
        let embedded = Embedded::ALL.map(Embedded::name).join(", ");
        bail!(
            "there is no such file or folder, it is no id of a hub (owner/name), and the embedded models are {embedded}"
        );
    };
    let hub = Hub::from_env()?;
    hub.fetch(&id)
        .with_context(|| format!("there is no path {model}, so it is taken for the id of a model on a hub"))
}
