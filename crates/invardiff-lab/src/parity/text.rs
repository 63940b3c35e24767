//! Text encoders: every hidden state and the output.

use burn::tensor::{Device, Tensor};
use invardiff_models::{ClipConfig, ClipText, T5Config, T5Encoder};
use invardiff_plan::files;
use ndarray::ArrayD;

use super::arrays::Arrays;
use super::check::Checks;
use super::compare::{self, values};
use super::folder::Folder;
use crate::error::{Context, Result, ensure};

/// Compares whichever of the two encoders the folder has.
///
/// # Errors
/// When weights cannot be loaded, or inputs are missing or do not fit them.
pub(super) fn check(folder: &Folder, device: &Device, checks: &mut Checks) -> Result<()> {
    let arrays = folder.arrays("io.safetensors")?;
    if folder.has("t5.safetensors") {
        t5(folder, &arrays, device, checks)?;
    }
    if folder.has("clip.safetensors") {
        clip(folder, &arrays, device, checks)?;
    }
    Ok(())
}

/// The transformers library returns T5's states before each block and, as the last one, the output.
fn t5(folder: &Folder, arrays: &Arrays, device: &Device, checks: &mut Checks) -> Result<()> {
    let config = T5Config::from_json(&folder.manifest().get("t5")?.as_text()).context("t5")?;
    let weights =
        files::read(&folder.path.join("t5.safetensors"), files::TENSORS_LIMIT).context("t5.safetensors")?;
    let model = T5Encoder::from_bytes(&weights, &config, device).context("t5.safetensors")?;
    let rows = ids(arrays, "t5.ids")?;
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let mut hidden = Vec::new();
    let out = model.forward_with(model.ids(&rows).context("t5.ids")?, |_, x| hidden.push(x.clone()));
    hidden.push(out.clone());
    states(checks, arrays, "t5", hidden);
    part(checks, arrays, "t5.last_hidden_state", values(out));
    Ok(())
}

/// The transformers library returns CLIP's states before each block and after the last, before the norm.
fn clip(folder: &Folder, arrays: &Arrays, device: &Device, checks: &mut Checks) -> Result<()> {
    let config = ClipConfig::from_json(&folder.manifest().get("clip")?.as_text()).context("clip")?;
    let weights = files::read(&folder.path.join("clip.safetensors"), files::TENSORS_LIMIT)
        .context("clip.safetensors")?;
    let model = ClipText::from_bytes(&weights, &config, device).context("clip.safetensors")?;
    let rows = ids(arrays, "clip.ids")?;
    let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let mut hidden = Vec::new();
    let out = model.forward_with(model.ids(&rows).context("clip.ids")?, |_, x| hidden.push(x.clone()));
    states(checks, arrays, "clip", hidden);
    part(checks, arrays, "clip.last_hidden_state", values(out.hidden));
    part(checks, arrays, "clip.pooled", values(out.pooled));
    Ok(())
}

/// Rows of token ids.
fn ids(arrays: &Arrays, key: &str) -> Result<Vec<Vec<u32>>> {
    let found = arrays.with_axes(key, 2)?;
    let id = |id: &f64| {
        let whole = id.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(id);
        ensure!(whole, "{}: '{key}' has {id}, expected token ids", arrays.file);
        Ok(*id as u32)
    };
    found.outer_iter().map(|row| row.iter().map(id).collect()).collect()
}

/// Compares the stored hidden states, of which there may be fewer than the model has.
fn states(checks: &mut Checks, arrays: &Arrays, model: &str, hidden: Vec<Tensor<3>>) {
    let mut indices: Vec<usize> =
        arrays.under(&format!("{model}.hidden")).iter().filter_map(|index| index.parse().ok()).collect();
    indices.sort_unstable();
    for index in indices {
        let key = format!("{model}.hidden{index}");
        checks.run(key.clone(), || {
            let blocks = hidden.len() - 1;
            let found = hidden.get(index).with_context(|| format!("the model has {blocks} blocks"))?;
            compare::forward(&values(found.clone()), &arrays.get(&key)?)
        });
    }
}

fn part(checks: &mut Checks, arrays: &Arrays, key: &str, found: ArrayD<f64>) {
    if arrays.has(key) {
        checks.run(key, || compare::forward(&found, &arrays.get(key)?));
    }
}
