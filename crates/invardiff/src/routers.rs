//! Files of Learning-to-Cache routers: this project's safetensors, and the published checkpoints.

use std::collections::BTreeMap;
use std::path::Path;

use invardiff_models::read_tensors;
use invardiff_plan::methods::routers::Routers;
use invardiff_plan::{PlanError, Provenance, Site, Topology};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::{About, Error, Result};
use crate::tensor_file::TensorFile;

pub(crate) const FORMAT: &str = "invardiff-routers";

/// The object in a file's metadata.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    /// The sites of the columns of `logits`.
    pub(crate) sites: Vec<Site>,
    pub(crate) provenance: Provenance,
}

/// Writes routers as safetensors: `logits`, f32 `[pairs, sites]` in sampling order, with sites and provenance as JSON in the
/// metadata.
///
/// # Errors
/// When the file cannot be written; names it.
pub fn write_routers(routers: &Routers, path: &Path) -> Result<()> {
    let content = Content { sites: routers.sites().to_vec(), provenance: routers.provenance.clone() };
    let mut file = TensorFile::new(FORMAT, &content)?;
    file.insert("logits", routers.logits().shape(), routers.logits().iter().copied().collect())?;
    file.write(path)
}

/// Reads routers for a model: a `.safetensors` file of [`write_routers`], or a published Learning-to-Cache checkpoint (`.pt`,
/// `.pth`, `.ckpt`) with the keys `routers.I.prob`, one logit a module, where `I` counts steps down.
///
/// A published checkpoint does not say how many steps it is for: its highest index does, as routers are allocated for all.
///
/// # Errors
/// When the file cannot be read, is of neither form, or is for other sites than the model's; names it.
pub fn read_routers(path: &Path, topology: &Topology) -> Result<Routers> {
    let name = || path.display().to_string();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let routers = if extension.eq_ignore_ascii_case("safetensors") {
        own(path)?
    } else {
        published(path, topology).about(name())?
    };
    routers.plan(0.5)?.schedule(topology).about(name())?; // other sites than the model's
    Ok(routers)
}

fn own(path: &Path) -> Result<Routers> {
    let file = TensorFile::read(path, FORMAT)?;
    let content: Content = file.object()?;
    let (shape, values) = file.array::<2>("logits")?;
    let logits = Array2::from_shape_vec(shape, values).map_err(Error::shape)?;
    let routers = Routers::new(content.sites, logits).about(path.display())?;
    Ok(routers.with_provenance(content.provenance))
}

fn published(path: &Path, topology: &Topology) -> Result<Routers> {
    let mut probs: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    for (key, data) in read_tensors(path)? {
        let index = key.strip_prefix("routers.").and_then(|rest| rest.strip_suffix(".prob"));
        let Some(index) = index.and_then(|index| index.parse().ok()) else { continue };
        let values = data.convert::<f32>().try_to_vec().map_err(|error| {
            let detail = format!("{error:?}");
            PlanError::Format { what: format!("'{key}'"), detail }
        })?;
        probs.insert(index, values);
    }
    let highest = probs.keys().next_back().copied();
    let Some(highest) = highest else {
        let problem = "no Learning-to-Cache checkpoint: it has no key 'routers.I.prob'";
        return Err(Error::Model(problem.to_owned()));
    };
    if highest >= 10_000 {
        return Err(Error::Model(format!("'routers.{highest}.prob': no sampler has so many steps")));
    }
    let routers = Routers::from_published(topology, 2 * (highest / 2 + 1), &probs)?;
    let notes = vec!["read from a published Learning-to-Cache checkpoint".to_owned()];
    let provenance = Provenance { method: "learning-to-cache".into(), notes, ..Provenance::default() };
    Ok(routers.with_provenance(provenance))
}
