//! Scales stored beside 8-bit weights.

use std::collections::BTreeMap;

use burn::tensor::TensorData;

use super::file::{Entries, Entry};

/// The names of a weight's scale, in place of `weight`: those of ComfyUI, of most other programs, and of scales per block.
const SCALES: [&str; 3] = ["scale_weight", "weight_scale", "weight_scale_inv"];

/// Other keys beside such weights, not needed to read them: activation scales and markers.
const BESIDE: [&str; 3] = ["scale_input", "input_scale", "comfy_quant"];

/// A marker tensor of files with 8-bit weights.
const MARK: &str = "scaled_fp8";

/// Rows and columns of a block with one scale, where scales are a matrix.
const BLOCK: usize = 128;

/// Removes the scales of quantised weights from `entries`; returns them by the key of their weight.
pub(super) fn take(entries: &mut Entries) -> BTreeMap<String, Entry> {
    let quantised: Vec<String> = entries
        .iter()
        .filter(|(_, entry)| entry.element.is_quantised())
        .filter_map(|(key, _)| Some(key.strip_suffix("weight")?.to_owned()))
        .collect();
    let mut scales = BTreeMap::new();
    for stem in quantised {
        for name in SCALES {
            if let Some(scale) = entries.remove(&format!("{stem}{name}")) {
                scales.insert(format!("{stem}weight"), scale);
            }
        }
        for name in BESIDE {
            entries.remove(&format!("{stem}{name}"));
        }
    }
    entries.remove(MARK);
    scales
}

/// The values times their scale: a single one, one per row, or one per block of 128 x 128.
pub(super) fn apply(data: TensorData, scale: &TensorData) -> Result<TensorData, String> {
    let shape = data.shape().to_vec();
    let rows = shape.first().copied().unwrap_or(1);
    let columns = shape.iter().skip(1).product::<usize>().max(1);
    let scales: Vec<f32> = scale.iter::<f32>().collect();
    let mut values = data.try_into_vec_as::<f32>().map_err(|error| error.to_string())?;
    let across = columns.div_ceil(BLOCK);
    let is_blocks = scale.shape().len() == 2 && scale.shape()[..] == [rows.div_ceil(BLOCK), across];
    let index: Box<dyn Fn(usize, usize) -> usize> = match scales.len() {
        1 => Box::new(|_, _| 0),
        count if count == rows => Box::new(|row, _| row),
        _ if is_blocks => Box::new(move |row, column| row / BLOCK * across + column / BLOCK),
        _ => return Err(format!("a scale of shape {:?} for a weight of shape {shape:?}", scale.shape())),
    };
    for (row, values) in values.chunks_exact_mut(columns).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value *= scales[index(row, column)];
        }
    }
    Ok(TensorData::new(values, shape))
}
