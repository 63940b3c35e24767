//! UniPC (Zhao et al. 2023, arXiv 2302.04867), the unified predictor-corrector.

use burn::tensor::Tensor;
use invardiff_plan::OutputForm;

use crate::error::RuntimeError;
use crate::sampler::Sampler;
use crate::samplers::marginal::{Marginal, ProbabilityPath};
use crate::samplers::noise_schedule::NoiseSchedule;
use crate::samplers::spacing::{self, Spacing};

/// The multistep predictor-corrector on the predicted clean sample with `B2(h) = e^h - 1`, ending at the clean sample.
///
/// As `UniPCMultistepScheduler` of diffusers with `bh2`, `predict_x0` and `lower_order_final`. The corrector uses the output
/// that the next step needs anyway, so a step costs one evaluation of the network. With fewer steps left or done than the
/// order, the order is lowered.
#[derive(Clone, Debug)]
pub struct UniPc {
    times: Vec<f32>,
    pub(super) levels: Vec<Marginal>,
    prediction: OutputForm,
    order: usize,
}

impl UniPc {
    /// The highest order.
    pub const MAX_ORDER: usize = 3;

    /// The solver of this order (1 to 3; diffusers' default is 2) for a model that predicts `prediction`.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when the spacing cannot choose so many steps, or for another order.
    pub fn new(
        schedule: &NoiseSchedule,
        spacing: Spacing,
        num_inference_steps: usize,
        prediction: OutputForm,
        order: usize,
    ) -> Result<Self, RuntimeError> {
        let timesteps = spacing.timesteps(num_inference_steps, schedule.len())?;
        Self::from_timesteps(schedule, &timesteps, prediction, order)
    }

    /// The solver over any timesteps, in sampling order.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when they are none, do not fall strictly or lie outside of the schedule; for another order than
    /// 1 to 3.
    pub fn from_timesteps(
        schedule: &NoiseSchedule,
        timesteps: &[usize],
        prediction: OutputForm,
        order: usize,
    ) -> Result<Self, RuntimeError> {
        spacing::check(timesteps, schedule.len())?;
        let level = |timestep: &usize| Marginal::variance_preserving(schedule.alphas_cumprod()[*timestep]);
        let times = timesteps.iter().map(|timestep| *timestep as f32).collect();
        Self::over(times, timesteps.iter().map(level).collect(), prediction, order)
    }

    /// The solver along a straight path: one sigma a step, the noisiest first, also the time given to the model. A first sigma
    /// of 1 has no log-SNR; within the solver it counts as `1 - 1e-6`.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when there is none, they do not fall strictly within `(0, 1]`, or for another order than 1 to 3.
    pub fn from_sigmas(sigmas: &[f64], order: usize) -> Result<Self, RuntimeError> {
        let good = sigmas.first().is_some_and(|first| *first <= 1.0)
            && sigmas.windows(2).all(|pair| pair[0] > pair[1])
            && sigmas.last().is_some_and(|last| *last > 0.0);
        if !good {
            let (value, expected) =
                (format!("{sigmas:?}"), "values that fall strictly from at most 1 to above 0");
            return Err(RuntimeError::Range { what: "sigmas", value, expected });
        }
        let level = |sigma: &f64| Marginal::straight(sigma.min(1.0 - 1e-6));
        let times = sigmas.iter().map(|sigma| *sigma as f32).collect();
        Self::over(times, sigmas.iter().map(level).collect(), OutputForm::Velocity, order)
    }

    pub(super) fn over(
        times: Vec<f32>,
        levels: Vec<Marginal>,
        prediction: OutputForm,
        order: usize,
    ) -> Result<Self, RuntimeError> {
        if (1..=Self::MAX_ORDER).contains(&order) {
            return Ok(Self { times, levels, prediction, order });
        }
        Err(RuntimeError::Range {
            what: "the order of UniPC",
            value: order.to_string(),
            expected: "1, 2 or 3",
        })
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.times.len()
    }

    /// The time given to the model at every step.
    pub fn times(&self) -> &[f32] {
        &self.times
    }

    /// The order of most steps.
    pub fn order(&self) -> usize {
        self.order
    }

    /// The order of the step that follows `done` others.
    pub(super) fn order_at(&self, step: usize, done: usize) -> usize {
        self.order.min(self.steps() - step).min(done + 1)
    }

    /// Half log-SNR of `step`; infinite after the last.
    fn lambda(&self, step: usize) -> f64 {
        self.levels.get(step).map_or(f64::INFINITY, Marginal::half_log_snr)
    }

    /// The positions of the outputs of the steps before `from`, on the axis of `lambda` with `from` at 0 and `to` at 1.
    fn positions(&self, from: usize, to: usize, count: usize) -> Vec<f64> {
        let span = self.lambda(to) - self.lambda(from);
        (1..=count).map(|back| (self.lambda(from - back) - self.lambda(from)) / span).collect()
    }

    /// Weights in the prediction of the sample after `step`: of the outputs before `step`, as differences to the one there.
    pub(super) fn ahead(&self, step: usize, order: usize) -> Vec<f64> {
        let earlier = self.positions(step, step + 1, order - 1);
        let coefficients = match order {
            1 => Vec::new(),
            2 => vec![0.5],
            _ => solve(&earlier, &rates(self.lambda(step + 1) - self.lambda(step))[..earlier.len()]),
        };
        earlier.iter().zip(coefficients).map(|(position, weight)| weight / position).collect()
    }

    /// Weights in the corrected sample at `step`: of the outputs before `step - 1`, then of the one at `step`, as differences to
    /// the one at `step - 1`.
    pub(super) fn again(&self, step: usize, order: usize) -> Vec<f64> {
        let mut positions = self.positions(step - 1, step, order - 1);
        positions.push(1.0);
        let coefficients = match order {
            1 => vec![0.5],
            _ => solve(&positions, &rates(self.lambda(step) - self.lambda(step - 1))[..positions.len()]),
        };
        positions.iter().zip(coefficients).map(|(position, weight)| weight / position).collect()
    }

    /// The sample at `to`, from the corrected one at `from` and the differences of outputs to the one at `from`, each divided
    /// by its position, with their coefficients.
    fn update<const D: usize>(
        &self,
        (from, to): (usize, usize),
        sample: Tensor<D>,
        newest: Tensor<D>,
        differences: Vec<(f64, Tensor<D>)>,
    ) -> Tensor<D> {
        let here = self.levels[from];
        let (alpha, sigma) = self.levels.get(to).map_or((1.0, 0.0), |level| (level.alpha, level.sigma));
        let gain = -(self.lambda(from) - self.lambda(to)).exp_m1(); // 1 - e^-h
        let blend =
            differences.into_iter().fold(newest, |sum, (weight, change)| sum + change * weight as f32);
        sample * (sigma / here.sigma) as f32 + blend * (alpha * gain) as f32
    }

    fn predict<const D: usize>(
        &self,
        history: &UniPcHistory<D>,
        step: usize,
        sample: Tensor<D>,
    ) -> Tensor<D> {
        let newest = history.outputs[0].clone();
        let changes = self.ahead(step, history.order).into_iter().zip(&history.outputs[1..]);
        let differences = changes.map(|(weight, output)| (weight, output.clone() - newest.clone())).collect();
        self.update((step, step + 1), sample, newest, differences)
    }

    /// The sample at `step` again, now that the output there is known.
    fn correct<const D: usize>(
        &self,
        history: &UniPcHistory<D>,
        step: usize,
        fresh: &Tensor<D>,
    ) -> Option<Tensor<D>> {
        let before = history.sample.clone()?;
        let newest = history.outputs.first()?.clone();
        let outputs = history.outputs[1..history.order].iter().chain(std::iter::once(fresh));
        let changes = self.again(step, history.order).into_iter().zip(outputs);
        let differences = changes.map(|(weight, output)| (weight, output.clone() - newest.clone())).collect();
        Some(self.update((step - 1, step), before, newest, differences))
    }
}

/// The right-hand sides of the conditions on the coefficients, for orders 1 to 3: `i! phi_(i+1)(-h) (-h) / (e^-h - 1)`.
fn rates(h: f64) -> [f64; UniPc::MAX_ORDER] {
    let gain = (-h).exp_m1();
    let (mut phi, mut factorial) = (gain / -h - 1.0, 1.0);
    std::array::from_fn(|i| {
        let rate = phi * factorial / gain;
        factorial *= (i + 2) as f64;
        phi = phi / -h - 1.0 / factorial;
        rate
    })
}

/// The coefficients `c` with `sum_k c_k positions_k^i = rates_i` for every `i` below their number, at most 3.
fn solve(positions: &[f64], rates: &[f64]) -> Vec<f64> {
    let n = positions.len();
    let power = |position: &f64, i: usize| std::iter::repeat_n(*position, i).product::<f64>();
    let row = |i: usize| positions.iter().map(|position| power(position, i)).chain([rates[i]]).collect();
    let mut rows: Vec<Vec<f64>> = (0..n).map(row).collect();
    // Positions differ, so every pivot of a Vandermonde matrix is there in this order.
    for at in 0..n {
        let pivot = rows[at].clone();
        for row in rows.iter_mut().enumerate().filter(|(index, _)| *index != at).map(|(_, row)| row) {
            let factor = row[at] / pivot[at];
            row.iter_mut().zip(&pivot).for_each(|(entry, other)| *entry -= factor * other);
        }
    }
    rows.iter().enumerate().map(|(index, row)| row[n] / row[index]).collect()
}

/// What a [`UniPc`] trajectory holds.
#[derive(Debug)]
pub struct UniPcHistory<const D: usize> {
    /// Predicted clean samples, the newest first.
    outputs: Vec<Tensor<D>>,
    /// The corrected sample of the step before.
    sample: Option<Tensor<D>>,
    /// The order of the step before.
    order: usize,
    /// Steps done.
    done: usize,
}

impl<const D: usize> Sampler<D> for UniPc {
    type History = UniPcHistory<D>;

    /// `unipc` is that of order 2, the default of diffusers.
    fn name(&self) -> &'static str {
        match self.order {
            1 => "unipc-1",
            2 => "unipc",
            _ => "unipc-3",
        }
    }

    fn steps(&self) -> usize {
        self.times.len()
    }

    /// The original timestep, or sigma on a straight path.
    fn time(&self, step: usize) -> f32 {
        self.times[step]
    }

    /// Half log-SNR, or sigma on a straight path.
    fn schedule_time(&self, step: usize) -> f64 {
        match self.levels[step].path {
            ProbabilityPath::VariancePreserving => self.levels[step].half_log_snr(),
            ProbabilityPath::Straight => self.levels[step].sigma,
        }
    }

    fn noise_level(&self, step: usize) -> Marginal {
        self.levels[step]
    }

    fn predicts(&self) -> OutputForm {
        self.prediction
    }

    fn start(&self) -> UniPcHistory<D> {
        UniPcHistory { outputs: Vec::new(), sample: None, order: 0, done: 0 }
    }

    fn advance(
        &self,
        history: &mut UniPcHistory<D>,
        step: usize,
        x: Tensor<D>,
        prediction: Tensor<D>,
    ) -> Tensor<D> {
        let fresh = self.levels[step].convert(x.clone(), prediction, self.prediction, OutputForm::X0);
        let sample = self.correct(history, step, &fresh).unwrap_or(x);
        history.outputs.insert(0, fresh);
        history.outputs.truncate(self.order);
        history.order = self.order_at(step, history.done);
        history.done += 1;
        let next = self.predict(history, step, sample.clone());
        history.sample = Some(sample);
        next
    }
}
