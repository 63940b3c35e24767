//! Where a model is: a path, or the id of a repository on a hub.

use std::path::{Path, PathBuf};

use invardiff_runtime::Progress;

#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::error::{Error, Result};

/// The file or folder of a model. What is no path is taken for an id (`owner/name`, `owner/name@revision`) and fetched, with
/// the cargo feature `hub`.
///
/// # Errors
/// When it is neither, or cannot be fetched.
pub fn locate(model: &str) -> Result<PathBuf> {
    locate_with(model, &())
}

/// [`locate`], telling `progress` of what is fetched.
///
/// # Errors
/// As [`locate`].
pub fn locate_with(model: &str, progress: &dyn Progress) -> Result<PathBuf> {
    let path = Path::new(model);
    if path.exists() { Ok(path.to_owned()) } else { fetch(model, progress) }
}

#[cfg(feature = "hub")]
fn fetch(model: &str, progress: &dyn Progress) -> Result<PathBuf> {
    use crate::error::About;

    let Ok(id) = crate::hub::HubId::parse(model) else {
        let problem = "there is no such file or folder, it is no id of a hub (owner/name)";
        return Err(Error::Model(format!("{problem}{}", embedded())));
    };
    let hub = crate::hub::Hub::from_env()?;
    let about = format_args!("there is no path {model}, so it is taken for the id of a model on a hub");
    hub.fetch_with(&id, progress).about(about)
}

#[cfg(not(feature = "hub"))]
fn fetch(_: &str, _: &dyn Progress) -> Result<PathBuf> {
    let problem = "there is no such file or folder, hubs are not built in (cargo feature hub)";
    Err(Error::Model(format!("{problem}{}", embedded())))
}

/// The names of the embedded models, as the end of a sentence.
#[cfg(feature = "embedded")]
fn embedded() -> String {
    format!(", and the embedded models are {}", Embedded::ALL.map(Embedded::name).join(", "))
}

#[cfg(not(feature = "embedded"))]
fn embedded() -> String {
    ", and there are no embedded models (cargo feature embedded)".to_owned()
}
