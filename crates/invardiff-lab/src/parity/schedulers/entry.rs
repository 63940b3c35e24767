//! What an entry of the manifest says of a sampler, and rows of its arrays.

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_plan::OutputForm;
use invardiff_runtime::{BetaSchedule, NoiseSchedule};
use ndarray::ArrayD;

use crate::error::{Context, Result, bail, ensure};
use crate::parity::check::Deviation;
use crate::parity::compare::{of_largest, values};
use crate::parity::folder::Entry;

/// One step, or steps from given predictions, in f32: of the largest value.
pub(super) const STEP: f64 = 1e-5;

/// The noise schedule of an entry; what it does not say is as DiT was trained.
pub(super) fn noise_schedule(case: &Entry<'_>) -> Result<NoiseSchedule> {
    let number = |key: &str, default: f64| case.find(key).map_or(Ok(default), |value| value.number());
    let (start, end) = (number("beta_start", 1e-4)?, number("beta_end", 2e-2)?);
    let betas = match case.find("beta_schedule").map_or(Ok("linear"), |name| name.text())? {
        "linear" => BetaSchedule::Linear { start, end },
        "scaled_linear" => BetaSchedule::ScaledLinear { start, end },
        other => bail!("beta_schedule is '{other}', this version has linear and scaled_linear"),
    };
    Ok(NoiseSchedule::new(betas, train_timesteps(case)?)?)
}

/// The timesteps of an entry's training; 1000, where it does not say.
pub(super) fn train_timesteps(case: &Entry<'_>) -> Result<usize> {
    let timesteps = case.find("num_train_timesteps").map_or(Ok(1000), |count| count.count())?;
    let most = 1_000_000;
    ensure!(timesteps <= most, "num_train_timesteps is {timesteps}, expected at most {most}");
    Ok(timesteps)
}

/// What the model of an entry predicts; noise, where it does not say.
pub(super) fn prediction(case: &Entry<'_>) -> Result<OutputForm> {
    Ok(match case.find("prediction_type").map_or(Ok("epsilon"), |name| name.text())? {
        "epsilon" => OutputForm::Epsilon,
        "v_prediction" => OutputForm::Velocity,
        "sample" => OutputForm::X0,
        other => bail!("prediction_type is '{other}', this version has epsilon, v_prediction and sample"),
    })
}

/// Refuses an entry that asks for what this version does not have.
pub(super) fn expect(case: &Entry<'_>, key: &str, known: &str) -> Result<()> {
    if let Some(value) = case.find(key) {
        let value = value.as_text();
        ensure!(value == known, "{key} is {value}, this version has {known}");
    }
    Ok(())
}

/// Values as one row on the device.
pub(super) fn row(values: &ArrayD<f64>, device: &Device) -> Result<Tensor<2>> {
    ensure!(!values.is_empty(), "a sample has no values");
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let shape = [1, values.len()];
    Ok(Tensor::from_data(TensorData::new(values, shape), (device, DType::F32)))
}

/// Item `step` of the first axis.
pub(super) fn item(all: &ArrayD<f64>, step: usize) -> Result<ArrayD<f64>> {
    let count = all.shape().first().copied().unwrap_or(0);
    ensure!(step < count, "there are {count} rows, expected more than {step}");
    Ok(all.index_axis(ndarray::Axis(0), step).to_owned())
}

/// A row's values against stored ones of any shape.
pub(super) fn compare_row(found: Tensor<2>, expected: &ArrayD<f64>, tolerance: f64) -> Result<Deviation> {
    let found = values(found);
    let found = found.into_shape_with_order(expected.raw_dim()).context("the result has another size")?;
    of_largest(&found, expected, tolerance)
}

/// Keeps the larger of two errors.
pub(super) fn keep_larger(worst: &mut Option<Deviation>, next: Deviation) {
    if worst.as_ref().is_none_or(|worst| worst.error < next.error) {
        *worst = Some(next);
    }
}
