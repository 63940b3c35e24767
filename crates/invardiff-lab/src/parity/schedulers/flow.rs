//! Flow-match Euler.

use burn::tensor::Device;
use invardiff_runtime::{FlowMatchEuler, Sampler, Shift};

use super::entry::{STEP, compare_row, item, keep_larger, row, train_timesteps};
use crate::error::{Context, Result, ensure};
use crate::parity::arrays::Arrays;
use crate::parity::check::{Checks, Deviation};
use crate::parity::compare::{list, relative, tables};
use crate::parity::folder::Entry;

/// Tolerance of tables; the stored ones are in f32.
const TABLES: f64 = 1e-6;
/// Tolerance of the shift, which is computed in f64.
const MU: f64 = 1e-12;
/// The range of the stored timesteps.
const TIMESTEPS: f64 = 1000.0;

pub(super) fn check(cases: &[Entry<'_>], arrays: &Arrays, device: &Device, checks: &mut Checks) {
    for (index, case) in cases.iter().enumerate() {
        let key = |name: &str| format!("flow{index}.{name}");
        if let (Some(tokens), Some(mu)) = (case.find("image_seq_len"), case.find("mu")) {
            checks.run(key("mu"), || compare_mu(&tokens, &mu));
        }
        let sampler = match sampler(case, arrays.shape(&key("latents"))) {
            Ok(sampler) => sampler,
            Err(error) => {
                checks.run(format!("flow{index}"), || Err(error));
                continue;
            }
        };
        let times = (0..sampler.steps()).map(|step| sampler.sigmas()[step] * TIMESTEPS).collect();
        let found = [(key("timesteps"), times), (key("sigmas"), sampler.sigmas().to_vec())];
        tables(checks, arrays, found, |found, expected| relative(found, expected, TABLES));
        checks.run(key("trajectory"), || trajectory(index, &sampler, arrays, device));
    }
}

fn compare_mu(tokens: &Entry<'_>, mu: &Entry<'_>) -> Result<Deviation> {
    match Shift::for_image(tokens.count()?) {
        Shift::Dynamic { mu: found } => relative(&list(vec![found]), &list(vec![mu.number()?]), MU),
        Shift::Static(_) => crate::error::bail!("the shift of an image is dynamic"),
    }
}

/// A dynamic shift on the grid of the pipelines, or a static one on the scheduler's own.
fn sampler(case: &Entry<'_>, latents: Result<&[usize]>) -> Result<FlowMatchEuler> {
    let (steps, latents) = (case.get("steps")?.count()?, latents?);
    ensure!(latents.first() == Some(&steps), "'latents' has shape {latents:?}, expected {steps} steps first");
    let fixed = case.find("dynamic").is_some_and(|dynamic| dynamic.is(false));
    if fixed {
        let shift = case.get("shift")?.number()?;
        return Ok(FlowMatchEuler::over_training_range(steps, shift, train_timesteps(case)?)?);
    }
    let shift = match case.find("mu") {
        Some(mu) => Shift::Dynamic { mu: mu.number()? },
        None => Shift::for_image(case.get("image_seq_len")?.count()?),
    };
    Ok(FlowMatchEuler::new(steps, shift)?)
}

/// All steps from the stored predictions.
fn trajectory(index: usize, sampler: &FlowMatchEuler, arrays: &Arrays, device: &Device) -> Result<Deviation> {
    let get = |name: &str| arrays.get(&format!("flow{index}.{name}"));
    let (predictions, samples, start) = (get("model_output")?, get("latents")?, get("x0")?);
    let (mut x, mut worst) = (row(&start, device)?, None);
    for step in 0..sampler.steps() {
        let prediction = item(&predictions, step)?;
        ensure!(
            prediction.len() == start.len(),
            "a prediction has {} values, a sample {}",
            prediction.len(),
            start.len()
        );
        x = sampler.advance(&mut (), step, x, row(&prediction, device)?);
        keep_larger(&mut worst, compare_row(x.clone(), &item(&samples, step)?, STEP)?);
    }
    worst.context("there is no step")
}
