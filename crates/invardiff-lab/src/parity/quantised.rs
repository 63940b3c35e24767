//! Quantised weights: every value as the reference dequantisers give it, bit for bit in f32.

use burn::tensor::TensorData;
use invardiff_models::read_weights;
use ndarray::{ArrayD, IxDyn};

use super::check::Checks;
use super::compare;
use super::folder::Folder;
use crate::error::{Context, Result};

/// Compares the files of quantised weights that the manifest lists under `compare`, each with the file of its values.
///
/// # Errors
/// When the list is missing, or a file cannot be read.
pub(super) fn check(folder: &Folder, checks: &mut Checks) -> Result<()> {
    for (file, values) in folder.manifest().get("compare")?.members()? {
        let expected = folder.arrays(values.text()?)?;
        let found = read_weights(folder.path.join(file)).context(file)?;
        for key in expected.keys() {
            checks.run(format!("{file}: {key}"), || {
                let data = found.get(&key).context(format!("{file}: '{key}' is missing"))?;
                compare::equal(&array(data)?, &expected.get(&key)?)
            });
        }
    }
    Ok(())
}

fn array(data: &TensorData) -> Result<ArrayD<f64>> {
    let values = data.iter::<f32>().map(f64::from).collect();
    ArrayD::from_shape_vec(IxDyn(&data.shape()[..]), values).context("its shape")
}
