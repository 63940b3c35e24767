//! Runs that follow rows of weights, held against their targets.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use invardiff_plan::OutputForm;
use invardiff_plan::core::{TimeGrid, WeightRow};
use invardiff_runtime::{FirstOrder, Full, Policy, Sampler};

use super::target::{TargetRecord, Trajectory, host};
use crate::run::Run;
use crate::session::SharedDenoiser;

/// One run under way.
pub(super) struct Trail<'a, const D: usize, C> {
    pub(super) run: &'a Run<D, C>,
    pub(super) target: &'a Trajectory,
    /// The sample where it stands.
    pub(super) x: Vec<f32>,
    /// The predicted clean samples, the newest first.
    pub(super) outputs: Vec<Vec<f32>>,
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> TargetRecord<'_, D, M, S> {
    /// Every run at its noise.
    pub(super) fn trails(&self) -> Vec<Trail<'_, D, M::Cond>> {
        (0..self.session().runs.len()).map(|run| self.trail(run)).collect()
    }

    /// One run at its noise.
    pub(super) fn trail(&self, run: usize) -> Trail<'_, D, M::Cond> {
        let target = &self.trajectories()[run];
        let run = &self.session().runs[run];
        Trail { run, target, x: host(run.noise.clone()), outputs: Vec::new() }
    }

    /// Steps over a grid for the session's model.
    pub(super) fn stepper(&self, grid: &TimeGrid) -> FirstOrder {
        FirstOrder::new::<D, S>(grid, self.session().sampler)
    }

    /// Evaluates the network where a trail stands; at most `most` outputs are kept.
    pub(super) fn evaluate(
        &self,
        stepper: &FirstOrder,
        trail: &mut Trail<'_, D, M::Cond>,
        step: usize,
        most: usize,
    ) {
        let noise = &trail.run.noise;
        let x = Tensor::<D>::from_data(TensorData::new(trail.x.clone(), noise.dims()), &noise.device());
        let time = Sampler::<D>::time(stepper, step);
        let prediction = self.session().model.predict(&mut Full.step(step), x.clone(), time, &trail.run.cond);
        trail.outputs.insert(0, host(stepper.to_form(step, x, prediction, OutputForm::X0)));
        trail.outputs.truncate(most);
    }

    /// Takes a trail from step `from` to the finished sample.
    pub(super) fn finish(
        &self,
        stepper: &FirstOrder,
        rows: &[WeightRow],
        trail: &mut Trail<'_, D, M::Cond>,
        from: usize,
    ) {
        for (step, row) in rows.iter().enumerate().skip(from) {
            self.evaluate(stepper, trail, step, WeightRow::MAX);
            trail.go(row, stepper.weights(step));
        }
    }

    /// The mean square error of the finished samples under rows of weights, for some of the runs.
    pub(super) fn errors(&self, grid: &TimeGrid, rows: &[WeightRow], runs: Range<usize>) -> Vec<f64> {
        let stepper = self.stepper(grid);
        self.session().concurrency.each(runs.collect(), |run| {
            let mut trail = self.trail(run);
            self.finish(&stepper, rows, &mut trail, 0);
            trail.error(trail.target.finished())
        })
    }
}

// Derived, it would ask the condition to be cloneable.
impl<const D: usize, C> Clone for Trail<'_, D, C> {
    fn clone(&self) -> Self {
        let Self { run, target, .. } = *self;
        Self { run, target, x: self.x.clone(), outputs: self.outputs.clone() }
    }
}

impl<const D: usize, C> Trail<'_, D, C> {
    /// Moves on: `x' = ratio x + weight (sum_i w_i D_i + w x)`.
    pub(super) fn go(&mut self, row: &WeightRow, (ratio, weight): (f64, f64)) {
        let of_sample = ratio + weight * row.sample;
        for at in 0..self.x.len() {
            let values = row.kept.iter().zip(&self.outputs);
            let blend: f64 = values.map(|(weight, value)| weight * f64::from(value[at])).sum();
            self.x[at] = (of_sample * f64::from(self.x[at]) + weight * blend) as f32;
        }
    }

    /// The mean square distance to a target.
    pub(super) fn error(&self, target: &[f32]) -> f64 {
        let sum: f64 = self.x.iter().zip(target).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        sum / self.x.len() as f64
    }
}
