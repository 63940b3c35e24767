//! The sites of a model by its name.

use std::path::Path;

use burn::tensor::Device;
use invardiff_models::DitConfig;
use invardiff_plan::Topology;

#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::error::{Error, Result};
use crate::model::NamedDit;

/// The topology of an embedded model, a published one, or the weights or configuration at a path.
///
/// # Errors
/// When there is no such model.
pub fn topology(name: &str) -> Result<Topology> {
    if let Some(topology) = known_topology(name)? {
        return Ok(topology);
    }
    let path = Path::new(name);
    if !path.exists() {
        let problem = format!("there is no such file or model; known are {}", names().join(", "));
        return Err(Error::Model(problem));
    }
    if path.is_file() && path.extension().is_some_and(|extension| extension == "json") {
        return Ok(DitConfig::from_json(&crate::files::settings(path)?)?.topology());
    }
    Ok(NamedDit::open(name, &Device::flex())?.config().topology())
}

/// The topology of an embedded model or a published one; `None` for any other name.
///
/// # Errors
/// When an embedded model does not load, which a test rules out.
pub fn known_topology(name: &str) -> Result<Option<Topology>> {
    #[cfg(feature = "embedded")]
    if let Some(embedded) = Embedded::named(name) {
        return Ok(Some(embedded.load(&Device::flex())?.config().topology()));
    }
    Ok(Topology::named(name).ok())
}

/// The names of all known models.
fn names() -> Vec<String> {
    #[cfg(feature = "embedded")]
    let embedded = Embedded::ALL.map(|embedded| embedded.name().to_owned());
    #[cfg(not(feature = "embedded"))]
    let embedded: [String; 0] = [];
    embedded.into_iter().chain(Topology::names()).collect()
}
