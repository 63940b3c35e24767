//! The state of a training of routers on disk.

use std::path::Path;

use invardiff::tensor_file::TensorFile;
use invardiff_calib::{Moments, RouterLoss, RouterState};
use invardiff_plan::methods::routers::Routers;
use invardiff_plan::{Provenance, Site};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Context, Result, ensure, unfit};
use crate::resumed::same;

const FORMAT: &str = "invardiff-router-training";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    sites: Vec<Site>,
    provenance: Provenance,
    /// Updates of each router.
    updates: Vec<u64>,
    /// The settings that the result depends on, by field.
    flags: Map<String, Value>,
}

/// Writes the state, whole or not at all: `logits`, `first` and `second`, `[pairs, sites]`, and `history`,
/// `[iterations, 3]` with router, distance and weight.
pub(super) fn write(state: &RouterState, settings: &Map<String, Value>, path: &Path) -> Result<()> {
    let routers = &state.routers;
    let content = Content {
        sites: routers.sites().to_vec(),
        provenance: routers.provenance.clone(),
        updates: state.moments.iter().map(|moments| moments.updates).collect(),
        flags: settings.clone(),
    };
    let mut file = TensorFile::new(FORMAT, &content)?;
    let shape = [routers.logits().nrows(), routers.logits().ncols()];
    file.insert("logits", &shape, routers.logits().iter().copied().collect())?;
    let moments = |part: fn(&Moments) -> &Vec<f32>| state.moments.iter().flat_map(part).copied().collect();
    file.insert("first", &shape, moments(|moments| &moments.first))?;
    file.insert("second", &shape, moments(|moments| &moments.second))?;
    let history = state.history.iter().flat_map(|loss| [loss.row as f32, loss.distance, loss.weight]);
    file.insert("history", &[state.history.len(), 3], history.collect())?;
    Ok(file.write(path)?)
}

/// Reads a state that was made with the same settings.
///
/// # Errors
/// When the file is no whole state, or was made with other settings: names the first.
pub(super) fn read(settings: &Map<String, Value>, path: &Path) -> Result<RouterState> {
    let file = TensorFile::read(path, FORMAT)?;
    let content: Content = file.object()?;
    same(settings, &content.flags, path)?;
    let (shape, logits) = file.array::<2>("logits")?;
    let [pairs, sites] = shape;
    ensure!(content.updates.len() == pairs, "{}: 'updates' are not one a router", path.display());
    let (first, second) = (file.shaped("first", shape)?, file.shaped("second", shape)?);
    let row = |values: &[f32], row: usize| values[row * sites..(row + 1) * sites].to_vec();
    let moments = content.updates.iter().enumerate().map(|(index, updates)| Moments {
        first: row(&first, index),
        second: row(&second, index),
        updates: *updates,
    });
    let moments = moments.collect();
    let ([_, columns], history) = file.array::<2>("history")?;
    ensure!(columns == 3, "{}: 'history' has {columns} columns, expected 3", path.display());
    let loss = |entry: &[f32]| match entry {
        [row, distance, weight] => {
            Ok(RouterLoss { row: *row as usize, distance: *distance, weight: *weight })
        }
        _ => Err(unfit!("{}: 'history' is cut short", path.display())),
    };
    let history = history.chunks(3).map(loss).collect::<Result<_>>()?;
    let routers = Routers::new(content.sites, Array2::from_shape_vec((pairs, sites), logits)?)
        .with_context(|| path.display().to_string())?
        .with_provenance(content.provenance);
    Ok(RouterState { routers, moments, history })
}
