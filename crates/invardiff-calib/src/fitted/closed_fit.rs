//! Weights fitted on the run's own trajectory, step after step.

use burn::tensor::{Tensor, TensorData};
use invardiff_plan::OutputForm;
use invardiff_plan::core::{TimeGrid, TimePoint, WeightRow};
use invardiff_plan::fitted::ridge_weights;
use invardiff_runtime::{FirstOrder, Full, Policy, Sampler};

use super::options::FitOptions;
use super::target::{TargetRecord, Trajectory, host};
use crate::run::Run;
use crate::session::SharedDenoiser;

/// What a fit found.
#[derive(Clone, Debug)]
pub struct ClosedFit {
    /// The times of the evaluations.
    pub grid: TimeGrid,
    /// The weights, a row an evaluation.
    pub rows: Vec<WeightRow>,
    /// Root mean square distance to the target after every step, over elements and the runs that were fitted on.
    pub residuals: Vec<f64>,
    /// The mean square error of each run's finished sample to the target's.
    pub errors: Vec<f64>,
}

/// One trajectory that is being fitted.
struct Trail<'a, const D: usize, C> {
    run: &'a Run<D, C>,
    target: &'a Trajectory,
    x: Vec<f32>,
    /// The newest first.
    outputs: Vec<Vec<f32>>,
}

/// The step at hand: `x' = ratio x + weight sum_i w_i D_i`, to candidate point `next`.
#[derive(Clone, Copy)]
struct Move {
    next: usize,
    ratio: f64,
    weight: f64,
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> TargetRecord<'_, D, M, S> {
    /// Fits weights for evaluations at some of the candidate points (rising, the first among them).
    ///
    /// Step after step: every run is evaluated where its own trajectory stands, the weights that bring the runs that are fitted
    /// on nearest to their targets at the next point follow in closed form, and all runs move on with them.
    ///
    /// # Panics
    /// When there are no such points.
    pub fn fit(&self, points: &[usize], options: &FitOptions) -> ClosedFit {
        let candidates = &self.atlas().candidates;
        let chosen = points.iter().map(|point| candidates.points[*point]).collect();
        let grid = TimeGrid { instead_of: candidates.instead_of, points: chosen };
        let stepper = FirstOrder::new::<D, S>(&grid, self.session().sampler);
        let prior = solver_rows(&grid.points);
        let mut trails = self.trails();
        let fitted_on = self.fitted_on();
        let (mut rows, mut residuals) = (Vec::new(), Vec::new());
        for (step, prior) in prior.iter().enumerate() {
            self.evaluate(&stepper, &mut trails, step, options.outputs);
            let (ratio, weight) = stepper.weights(step);
            let next = points.get(step + 1).copied().unwrap_or(candidates.points.len());
            let here = Move { next, ratio, weight };
            let row = fitted_row(&trails[..fitted_on], prior, here, options);
            for trail in &mut trails {
                trail.go(&row, here);
            }
            let left = trails[..fitted_on].iter().map(|trail| trail.error(next)).sum::<f64>();
            residuals.push((left / fitted_on as f64).sqrt());
            rows.push(row);
        }
        let errors = trails.iter().map(|trail| trail.error(candidates.points.len())).collect();
        ClosedFit { grid, rows, residuals, errors }
    }

    fn trails(&self) -> Vec<Trail<'_, D, M::Cond>> {
        self.session()
            .runs
            .iter()
            .zip(self.trajectories())
            .map(|(run, target)| Trail { run, target, x: host(run.noise.clone()), outputs: Vec::new() })
            .collect()
    }

    /// The clean sample that the network predicts where each trail stands, put first among its outputs.
    fn evaluate(
        &self,
        stepper: &FirstOrder,
        trails: &mut [Trail<'_, D, M::Cond>],
        step: usize,
        outputs: usize,
    ) {
        let model = self.session().model;
        self.session().concurrency.each(trails.iter_mut().collect(), |trail: &mut Trail<'_, D, M::Cond>| {
            let noise = &trail.run.noise;
            let x = Tensor::<D>::from_data(TensorData::new(trail.x.clone(), noise.dims()), &noise.device());
            let time = Sampler::<D>::time(stepper, step);
            let prediction = model.predict(&mut Full.step(step), x.clone(), time, &trail.run.cond);
            trail.outputs.insert(0, host(stepper.to_form(step, x, prediction, OutputForm::X0)));
            trail.outputs.truncate(outputs);
        });
    }
}

impl<const D: usize, C> Trail<'_, D, C> {
    /// Moves to the next point.
    fn go(&mut self, row: &WeightRow, Move { ratio, weight, .. }: Move) {
        let of_sample = ratio + weight * row.sample;
        for at in 0..self.x.len() {
            let values = row.kept.iter().zip(&self.outputs);
            let blend: f64 = values.map(|(weight, value)| weight * f64::from(value[at])).sum();
            self.x[at] = (of_sample * f64::from(self.x[at]) + weight * blend) as f32;
        }
    }

    /// The mean square distance to the target at a point.
    fn error(&self, point: usize) -> f64 {
        let target = &self.target.states[point];
        let sum: f64 = self.x.iter().zip(target).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        sum / self.x.len() as f64
    }
}

/// The weights of one step, over all trails.
fn fitted_row<const D: usize, C>(
    trails: &[Trail<'_, D, C>],
    prior: &WeightRow,
    Move { next, ratio, weight }: Move,
    options: &FitOptions,
) -> WeightRow {
    let outputs = trails[0].outputs.len();
    let n = outputs + usize::from(options.sample);
    let (mut m, mut h) = (vec![0.0; n * n], vec![0.0; n]);
    for trail in trails {
        let mut values: Vec<&[f32]> = trail.outputs.iter().map(Vec::as_slice).collect();
        if options.sample {
            values.push(&trail.x);
        }
        let pairs = trail.target.states[next].iter().zip(&trail.x);
        let wanted: Vec<f64> =
            pairs.map(|(target, x)| (f64::from(*target) - ratio * f64::from(*x)) / weight).collect();
        for i in 0..n {
            let with = values[i].iter().zip(&wanted);
            h[i] += with.map(|(value, wanted)| f64::from(*value) * wanted).sum::<f64>();
            for j in 0..=i {
                let both = values[i].iter().zip(values[j]);
                m[i * n + j] += both.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                m[j * n + i] = m[i * n + j];
            }
        }
    }
    let mut towards = vec![0.0; n];
    towards[..outputs].iter_mut().zip(&prior.kept).for_each(|(slot, weight)| *slot = *weight);
    let mut kept = ridge_weights(&m, &h, &towards, options.ridge);
    let sample = if options.sample { kept.pop().unwrap_or(0.0) } else { 0.0 };
    WeightRow { kept, sample }
}

/// DPM-Solver++ 2M over any noise levels, as weights of the last two clean samples (midpoint form); the first and the last
/// step, and the one after pure noise, are of first order.
pub fn solver_rows(points: &[TimePoint]) -> Vec<WeightRow> {
    let time = |step: usize| (points[step].alpha / points[step].sigma).ln();
    let row = |step: usize| {
        if step == 0 || step + 1 == points.len() || points[step - 1].alpha <= 0.0 {
            return WeightRow { kept: vec![1.0], sample: 0.0 };
        }
        let change = 0.5 * (time(step + 1) - time(step)) / (time(step) - time(step - 1));
        WeightRow { kept: vec![1.0 + change, -change], sample: 0.0 }
    };
    (0..points.len()).map(row).collect()
}
