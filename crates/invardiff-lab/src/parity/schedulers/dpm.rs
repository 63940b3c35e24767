//! DPM-Solver++ 2M.

use burn::tensor::{Device, Tensor};
use invardiff_runtime::{DpmSolverPlusPlus, Sampler, Spacing};
use ndarray::ArrayD;

use super::entry::{STEP, compare_row, expect, item, keep_larger, noise_schedule, prediction, row};
use crate::error::{Context, Result, bail, ensure};
use crate::parity::arrays::Arrays;
use crate::parity::check::{Checks, Deviation};
use crate::parity::compare::{equal, list, relative};
use crate::parity::folder::Entry;

/// Tolerance of sigmas; the stored ones are a running product of up to 1000 factors in f32.
const SIGMAS: f64 = 1e-5;
/// Tolerance of a trajectory that computes its own predictions.
const TRAJECTORY: f64 = 1e-4;

pub(super) fn check(cases: &[Entry<'_>], arrays: &Arrays, device: &Device, checks: &mut Checks) {
    for (index, case) in cases.iter().enumerate() {
        match solver(case) {
            Ok(solver) => Case { index, arrays, solver, device }.check(checks),
            Err(error) => checks.run(format!("dpm{index}"), || Err(error)),
        }
    }
}

fn solver(case: &Entry<'_>) -> Result<DpmSolverPlusPlus> {
    for (key, known) in [
        ("algorithm_type", "dpmsolver++"),
        ("solver_order", "2"),
        ("solver_type", "midpoint"),
        ("lower_order_final", "true"),
        ("final_sigmas_type", "zero"),
        ("use_karras_sigmas", "false"),
        ("thresholding", "false"),
    ] {
        expect(case, key, known)?;
    }
    let spacing = match case.find("timestep_spacing").map_or(Ok("linspace"), |name| name.text())? {
        "linspace" => Spacing::Linspace,
        "trailing" => Spacing::Trailing,
        "leading" => {
            Spacing::Leading { offset: case.find("steps_offset").map_or(Ok(0), |offset| offset.count())? }
        }
        other => bail!("timestep_spacing is '{other}', this version has linspace, leading and trailing"),
    };
    let steps = case.get("steps")?.count()?;
    Ok(DpmSolverPlusPlus::new(&noise_schedule(case)?, spacing, steps, prediction(case)?)?)
}

struct Case<'a> {
    index: usize,
    arrays: &'a Arrays,
    solver: DpmSolverPlusPlus,
    device: &'a Device,
}

impl Case<'_> {
    fn check(&self, checks: &mut Checks) {
        checks.run(self.key("timesteps"), || {
            let found = self.solver.timesteps().iter().map(|timestep| *timestep as f64).collect();
            equal(&list(found), &self.get("timesteps")?)
        });
        if self.arrays.has(&self.key("sigmas")) {
            checks.run(self.key("sigmas"), || {
                relative(&list(self.solver.sigmas()), &self.get("sigmas")?, SIGMAS)
            });
        }
        checks.run(self.key("step"), || self.steps());
        if self.arrays.has(&self.key("W")) {
            checks.run(self.key("trajectory"), || self.trajectory());
        }
    }

    /// Every step from the stored sample and prediction.
    fn steps(&self) -> Result<Deviation> {
        let (predictions, samples) = (self.get("model_output")?, self.get("latents")?);
        let (mut history, mut worst) = (Sampler::<2>::start(&self.solver), None);
        let mut x = self.get("x0")?;
        for step in 0..self.solver.steps() {
            let prediction = item(&predictions, step)?;
            ensure!(
                prediction.len() == x.len(),
                "a prediction has {} values, a sample {}",
                prediction.len(),
                x.len()
            );
            let (before, prediction) = (row(&x, self.device)?, row(&prediction, self.device)?);
            let found = self.solver.advance(&mut history, step, before, prediction);
            x = item(&samples, step)?;
            keep_larger(&mut worst, compare_row(found, &x, STEP)?);
        }
        worst.context("there is no step")
    }

    /// The whole trajectory with the fixture's own model, `tanh(W x) + 0.5 x cos(t / 1000)`.
    fn trajectory(&self) -> Result<Deviation> {
        let (weight, samples, x) = (self.get("W")?, self.get("latents")?, self.get("x0")?);
        let &[width, inputs] = weight.shape() else { bail!("'W' is no matrix") };
        let fits = width == inputs && width > 0 && !x.is_empty() && x.len().is_multiple_of(width);
        ensure!(fits, "'W' has shape {:?} for samples of {} values", weight.shape(), x.len());
        let weight = row(&weight, self.device)?.reshape([width, width]).transpose();
        let model = |x: &Tensor<2>, time: f32| {
            let moved = x.clone().reshape([x.dims()[1] / width, width]).matmul(weight.clone()).tanh();
            moved.reshape(x.dims()) + x.clone() * (0.5 * (time / 1000.0).cos())
        };
        let (mut history, mut worst) = (Sampler::<2>::start(&self.solver), None);
        let mut x = row(&x, self.device)?;
        for step in 0..self.solver.steps() {
            let prediction = model(&x, Sampler::<2>::time(&self.solver, step));
            x = self.solver.advance(&mut history, step, x, prediction);
            keep_larger(&mut worst, compare_row(x.clone(), &item(&samples, step)?, TRAJECTORY)?);
        }
        worst.context("there is no step")
    }

    fn key(&self, name: &str) -> String {
        format!("dpm{}.{name}", self.index)
    }

    fn get(&self, name: &str) -> Result<ArrayD<f64>> {
        self.arrays.get(&self.key(name))
    }
}
