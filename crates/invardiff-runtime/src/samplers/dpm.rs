//! DPM-Solver++ 2M (Lu et al. 2022).

use burn::tensor::Tensor;
use invardiff_plan::OutputForm;

use crate::error::RuntimeError;
use crate::sampler::Sampler;
use crate::samplers::marginal::Marginal;
use crate::samplers::noise_schedule::NoiseSchedule;
use crate::samplers::spacing::{self, Spacing};

/// DPM-Solver++ 2M: the multistep solver of second order for the predicted clean sample (midpoint form), down to sigma 0.
///
/// Equals `DPMSolverMultistepScheduler` of diffusers with `dpmsolver++`, order 2, `midpoint` and `lower_order_final`: the
/// first and the last step are of first order. The model is given the original timestep.
///
/// Use a spacing without timestep 0, such as [`Spacing::Linspace`]. A [`Spacing::Respaced`] grid ends with a very long step in
/// log-SNR to timestep 0, over which the second order overshoots: for normal data of deviation 0.5 and 20 steps the error is
/// 24 %, with `Linspace` 5 %, with DDIM 14 % on either.
#[derive(Clone, Debug)]
pub struct DpmSolverPlusPlus {
    timesteps: Vec<usize>,
    levels: Vec<Marginal>,
    prediction: OutputForm,
}

impl DpmSolverPlusPlus {
    /// The solver for a model that predicts `prediction`.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when the spacing cannot choose that many steps.
    pub fn new(
        schedule: &NoiseSchedule,
        spacing: Spacing,
        num_inference_steps: usize,
        prediction: OutputForm,
    ) -> Result<Self, RuntimeError> {
        Self::from_timesteps(schedule, &spacing.timesteps(num_inference_steps, schedule.len())?, prediction)
    }

    /// The solver over these timesteps, in sampling order.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when there are none, they do not decrease strictly, or lie outside of the schedule.
    pub fn from_timesteps(
        schedule: &NoiseSchedule,
        timesteps: &[usize],
        prediction: OutputForm,
    ) -> Result<Self, RuntimeError> {
        spacing::check(timesteps, schedule.len())?;
        let level = |timestep: &usize| Marginal::variance_preserving(schedule.alphas_cumprod()[*timestep]);
        let levels = timesteps.iter().map(level).collect();
        Ok(Self { timesteps: timesteps.to_vec(), levels, prediction })
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// The original timesteps in sampling order, `[steps]`.
    pub fn timesteps(&self) -> &[usize] {
        &self.timesteps
    }

    /// `sqrt((1 - ab) / ab)` of every step and a final 0, `[steps + 1]`.
    pub fn sigmas(&self) -> Vec<f64> {
        self.levels.iter().map(|level| level.sigma / level.alpha).chain(std::iter::once(0.0)).collect()
    }

    /// The form of the model's prediction.
    pub fn predicts(&self) -> OutputForm {
        self.prediction
    }

    /// The noise level at `step` (sampling order).
    ///
    /// # Panics
    /// When there is no such step.
    pub fn noise_level(&self, step: usize) -> Marginal {
        self.levels[step]
    }

    /// The weights of `step`: of the sample, of the clean sample, and of its difference to the one before (second order).
    fn weights(&self, step: usize) -> (f64, f64, Option<f64>) {
        let here = self.levels[step];
        let Some(next) = self.levels.get(step + 1) else {
            return (0.0, 1.0, None); // to sigma = 0
        };
        let span = next.half_log_snr() - here.half_log_snr();
        let weight = next.alpha * -(-span).exp_m1();
        let before =
            step.checked_sub(1).map(|before| here.half_log_snr() - self.levels[before].half_log_snr());
        (next.sigma / here.sigma, weight, before.map(|before| 0.5 * span / before))
    }
}

/// The state of a [`DpmSolverPlusPlus`] trajectory: the clean sample predicted one step before.
#[derive(Debug)]
pub struct DpmHistory<const D: usize> {
    x0: Option<Tensor<D>>,
}

impl<const D: usize> Sampler<D> for DpmSolverPlusPlus {
    type History = DpmHistory<D>;

    fn name(&self) -> &'static str {
        "dpm-solver++"
    }

    fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// The original timestep, e.g. in 0 to 999.
    fn time(&self, step: usize) -> f32 {
        self.timesteps[step] as f32
    }

    /// Half log-SNR.
    fn schedule_time(&self, step: usize) -> f64 {
        self.levels[step].half_log_snr()
    }

    fn noise_level(&self, step: usize) -> Marginal {
        Self::noise_level(self, step)
    }

    fn predicts(&self) -> OutputForm {
        self.prediction
    }

    fn start(&self) -> DpmHistory<D> {
        DpmHistory { x0: None }
    }

    fn advance(
        &self,
        history: &mut DpmHistory<D>,
        step: usize,
        x: Tensor<D>,
        prediction: Tensor<D>,
    ) -> Tensor<D> {
        let x0 = self.levels[step].convert(x.clone(), prediction, self.prediction, OutputForm::X0);
        let (of_x, of_x0, of_change) = self.weights(step);
        let before = history.x0.replace(x0.clone());
        let target = match (before, of_change) {
            (Some(before), Some(of_change)) => x0.clone() + (x0 - before) * of_change as f32,
            (None, _) | (_, None) => x0,
        };
        x * of_x as f32 + target * of_x0 as f32
    }
}
