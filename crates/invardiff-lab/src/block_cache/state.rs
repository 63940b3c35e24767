//! The state of a training of scale-shift vectors on disk.

use std::path::Path;

use invardiff::tensor_file::TensorFile;
use invardiff_calib::{Moments, ScaleShiftLoss, ScaleShiftState};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Result, ensure};
use crate::resumed::same;

const FORMAT: &str = "invardiff-scale-shift-training";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Numbers of each step, and their updates.
    steps: Vec<(usize, u64)>,
    /// The settings that the result depends on, by field.
    flags: Map<String, Value>,
}

/// Writes the state, whole or not at all: `vectors`, `first` and `second`, the numbers of all steps in a row, and
/// `history`, one loss an iteration.
pub(super) fn write(state: &ScaleShiftState, settings: &Map<String, Value>, path: &Path) -> Result<()> {
    let steps =
        state.vectors.iter().zip(&state.moments).map(|(vectors, moments)| (vectors.len(), moments.updates));
    let content = Content { steps: steps.collect(), flags: settings.clone() };
    let mut file = TensorFile::new(FORMAT, &content)?;
    let first = state.moments.iter().flat_map(|moments| &moments.first);
    let second = state.moments.iter().flat_map(|moments| &moments.second);
    let arrays: [(&str, Vec<f32>); 4] = [
        ("vectors", state.vectors.iter().flatten().copied().collect()),
        ("first", first.copied().collect()),
        ("second", second.copied().collect()),
        ("history", state.history.iter().map(|loss| loss.distance).collect()),
    ];
    for (name, values) in arrays {
        file.insert(name, &[values.len()], values)?;
    }
    Ok(file.write(path)?)
}

/// Reads a state that was made with the same settings.
///
/// # Errors
/// When the file is no whole state, or was made with other settings: names the first.
pub(super) fn read(settings: &Map<String, Value>, path: &Path) -> Result<ScaleShiftState> {
    let file = TensorFile::read(path, FORMAT)?;
    let content: Content = file.object()?;
    same(settings, &content.flags, path)?;
    let total: usize = content.steps.iter().map(|(length, _)| length).sum();
    ensure!(total < 1 << 28, "{}: {total} numbers are too many", path.display());
    let [vectors, first, second] = ["vectors", "first", "second"].map(|name| file.shaped(name, [total]));
    let (vectors, first, second) = (vectors?, first?, second?);
    let mut start = 0;
    let mut state = ScaleShiftState { vectors: Vec::new(), moments: Vec::new(), history: Vec::new() };
    for (length, updates) in content.steps {
        let range = start..start + length;
        start += length;
        state.vectors.push(vectors[range.clone()].to_vec());
        let (first, second) = (first[range.clone()].to_vec(), second[range].to_vec());
        state.moments.push(Moments { first, second, updates });
    }
    let (_, history) = file.array::<1>("history")?;
    state.history = history.into_iter().map(|distance| ScaleShiftLoss { distance }).collect();
    Ok(state)
}
