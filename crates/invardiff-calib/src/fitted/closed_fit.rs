//! Weights fitted on the run's own trajectory, step after step.

use invardiff_plan::core::{TimeGrid, WeightRow};
use invardiff_plan::fitted::ridge_weights;
use invardiff_runtime::Sampler;

use super::options::FitOptions;
use super::target::TargetRecord;
use super::trail::Trail;
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
    /// When there are no such points, or the prior is UniPC of another order than 1 to 3.
    pub fn fit(&self, points: &[usize], options: &FitOptions) -> ClosedFit {
        let grid = self.grid(points);
        let prior = options.prior.rows(&grid.points).expect("the orders of the solvers are known");
        self.walk(grid, points, options.outputs, |trails, step, here| {
            fitted_row(&trails[..self.fitted_on()], &prior[step], here, options)
        })
    }

    /// Evaluations at some of the candidate points with weights that are given, a row each, and how well they do.
    ///
    /// # Panics
    /// When there are no such points.
    pub fn with_rows(&self, points: &[usize], rows: &[WeightRow]) -> ClosedFit {
        let most = rows.iter().map(|row| row.kept.len()).max().unwrap_or(1);
        self.walk(self.grid(points), points, most, |_, step, _| rows[step].clone())
    }

    /// The candidate points as times of a plan.
    pub(super) fn grid(&self, points: &[usize]) -> TimeGrid {
        let candidates = &self.atlas().candidates;
        let chosen = points.iter().map(|point| candidates.points[*point]).collect();
        TimeGrid { instead_of: candidates.instead_of, points: chosen }
    }

    fn walk(
        &self,
        grid: TimeGrid,
        points: &[usize],
        outputs: usize,
        row_of: impl Fn(&[Trail<'_, D, M::Cond>], usize, Move) -> WeightRow,
    ) -> ClosedFit {
        let stepper = self.stepper(&grid);
        let (mut trails, fitted_on, finished) = (self.trails(), self.fitted_on(), self.atlas().points());
        let (mut rows, mut residuals) = (Vec::new(), Vec::new());
        for step in 0..points.len() {
            self.session().concurrency.each(trails.iter_mut().collect(), |trail| {
                self.evaluate(&stepper, trail, step, outputs);
            });
            let (ratio, weight) = stepper.weights(step);
            let next = points.get(step + 1).copied().unwrap_or(finished);
            let row = row_of(&trails, step, Move { next, ratio, weight });
            for trail in &mut trails {
                trail.go(&row, (ratio, weight));
            }
            let left = trails[..fitted_on].iter().map(|trail| trail.error(&trail.target.states[next]));
            residuals.push((left.sum::<f64>() / fitted_on as f64).sqrt());
            rows.push(row);
        }
        let errors = trails.iter().map(|trail| trail.error(trail.target.finished())).collect();
        ClosedFit { grid, rows, residuals, errors }
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
    if options.sample {
        towards[outputs] = prior.sample;
    }
    towards[..outputs].iter_mut().zip(&prior.kept).for_each(|(slot, weight)| *slot = *weight);
    let mut kept = ridge_weights(&m, &h, &towards, options.ridge);
    let sample = if options.sample { kept.pop().unwrap_or(0.0) } else { 0.0 };
    WeightRow { kept, sample }
}
