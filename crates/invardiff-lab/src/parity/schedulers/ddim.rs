//! Respaced DDIM.

use burn::tensor::{Device, Tensor};
use invardiff_runtime::{Ddim, NoiseSchedule, Sampler, Spacing};
use ndarray::{ArrayD, Axis};

use super::entry::{STEP, compare_row, item, keep_larger, noise_schedule, prediction, row};
use crate::error::{Context, Result, ensure};
use crate::parity::arrays::Arrays;
use crate::parity::check::{Checks, Deviation};
use crate::parity::compare;
use crate::parity::folder::Entry;

/// Tolerance of f64 tables, in which only the order of operations may differ.
const TABLES: f64 = 1e-12;

pub(super) fn check(entry: &Entry<'_>, arrays: &Arrays, device: &Device, checks: &mut Checks) -> Result<()> {
    let (schedule, prediction) = (noise_schedule(entry)?, prediction(entry)?);
    for count in entry.get("counts")?.sizes()? {
        match Ddim::new(&schedule, Spacing::Respaced, count, prediction) {
            Ok(ddim) => one(&ddim, arrays, device, checks),
            Err(error) => checks.run(format!("ddim{count}"), || Err(error.into())),
        }
    }
    Ok(())
}

fn one(ddim: &Ddim, arrays: &Arrays, device: &Device, checks: &mut Checks) {
    let steps = ddim.steps();
    let key = |name: &str| format!("ddim{steps}.{name}");
    let map: Vec<f64> = ddim.timestep_map().iter().map(|timestep| *timestep as f64).collect();
    compare::tables(checks, arrays, [(key("timestep_map"), map)], compare::equal);
    let tables = tables(ddim.schedule()).map(|(name, table)| (key(name), table));
    compare::tables(checks, arrays, tables, |found, expected| compare::relative(found, expected, TABLES));
    if arrays.has(&key("step_sample_and_x0")) {
        checks.run(key("step sample"), || every_index(ddim, arrays, device, 0));
        checks.run(key("step x0"), || every_index(ddim, arrays, device, 1));
    }
}

fn tables(schedule: &NoiseSchedule) -> [(&'static str, Vec<f64>); 6] {
    [
        ("betas", schedule.betas().to_vec()),
        ("alphas_cumprod", schedule.alphas_cumprod().to_vec()),
        ("alphas_cumprod_prev", schedule.alphas_cumprod_prev()),
        ("sqrt_recip_alphas_cumprod", schedule.sqrt_recip_alphas_cumprod()),
        ("sqrt_recipm1_alphas_cumprod", schedule.sqrt_recipm1_alphas_cumprod()),
        ("posterior_log_variance_clipped", schedule.posterior_log_variance_clipped()),
    ]
}

/// One update at every index from the same sample and noise: the next sample (`which` 0) and the clean one (1).
fn every_index(ddim: &Ddim, arrays: &Arrays, device: &Device, which: usize) -> Result<Deviation> {
    let steps = ddim.steps();
    let [x, eps] = ["x", "eps"].map(|name| arrays.get(&format!("ddim{steps}.{name}")));
    let (x, eps) = (x?, eps?);
    let same = x.shape() == eps.shape() && !x.is_empty();
    ensure!(same, "'x' has shape {:?}, 'eps' {:?}, expected one and the same", x.shape(), eps.shape());
    let shape = [[steps, 2].as_slice(), x.shape()].concat();
    let expected = arrays.shaped(&format!("ddim{steps}.step_sample_and_x0"), &shape)?;
    let expected: ArrayD<f64> = expected.index_axis(Axis(1), which).to_owned();
    let (x, eps) = (row(&x, device)?, row(&eps, device)?);
    let mut worst = None;
    for step in 0..steps {
        let found: Tensor<2> = if which == 0 {
            ddim.advance(&mut Sampler::<2>::start(ddim), step, x.clone(), eps.clone())
        } else {
            ddim.split(step, x.clone(), eps.clone()).0
        };
        keep_larger(&mut worst, compare_row(found, &item(&expected, steps - 1 - step)?, STEP)?);
    }
    worst.context("there is no step")
}
