//! DDIM (Song, Meng and Ermon 2021), respaced as in the original DiT code.

use burn::tensor::Tensor;
use invardiff_plan::OutputForm;

use crate::error::RuntimeError;
use crate::sampler::Sampler;
use crate::samplers::marginal::Marginal;
use crate::samplers::noise::GaussianNoise;
use crate::samplers::noise_schedule::NoiseSchedule;
use crate::samplers::spacing::{self, Spacing};

/// DDIM over some of the timesteps of a noise schedule.
///
/// Tables are in f64 and by index (0 is the cleanest); the scalars of a step are rounded to f32. The model is given the
/// original timestep. The predicted clean sample is not clipped.
#[derive(Clone, Debug)]
pub struct Ddim {
    schedule: NoiseSchedule,
    timestep_map: Vec<usize>,
    prediction: OutputForm,
    eta: f64,
    seed: u64,
}

impl Ddim {
    /// Deterministic DDIM (eta 0) for a model that predicts `prediction`.
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

    /// Deterministic DDIM over these timesteps, in sampling order.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when there are none, they do not decrease strictly, or lie outside of the schedule.
    pub fn from_timesteps(
        schedule: &NoiseSchedule,
        timesteps: &[usize],
        prediction: OutputForm,
    ) -> Result<Self, RuntimeError> {
        spacing::check(timesteps, schedule.len())?;
        let timestep_map: Vec<usize> = timesteps.iter().rev().copied().collect();
        let schedule = schedule.respaced(&timestep_map)?;
        Ok(Self { schedule, timestep_map, prediction, eta: 0.0, seed: 0 })
    }

    /// The same sampler with fresh noise at every step but the last: `eta` 0 is deterministic, 1 is ancestral sampling. Every
    /// trajectory draws the same noise, from `seed`.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when `eta` is not in `[0, 1]`.
    pub fn with_eta(self, eta: f64, seed: u64) -> Result<Self, RuntimeError> {
        if !(0.0..=1.0).contains(&eta) {
            let (value, expected) = (eta.to_string(), "a value from 0 (deterministic) to 1");
            return Err(RuntimeError::Range { what: "eta", value, expected });
        }
        Ok(Self { eta, seed, ..self })
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.timestep_map.len()
    }

    /// The original timesteps in sampling order, `[steps]`.
    pub fn timesteps(&self) -> Vec<usize> {
        self.timestep_map.iter().rev().copied().collect()
    }

    /// The original timesteps by index, the cleanest first, `[steps]`.
    pub fn timestep_map(&self) -> &[usize] {
        &self.timestep_map
    }

    /// The noise schedule over the visited timesteps, by index.
    pub fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
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
        Marginal::variance_preserving(self.schedule.alphas_cumprod()[self.index(step)])
    }

    /// The predicted clean sample and noise `(x0, eps)`. For a prediction of epsilon, `x0 = sqrt(1/ab) x - sqrt(1/ab - 1) eps`,
    /// and `eps` is derived from this `x0` again, as in the original code.
    ///
    /// # Shapes
    /// - `x`, `prediction`, results: the sample's
    ///
    /// # Panics
    /// When there is no such step.
    pub fn split<const D: usize>(
        &self,
        step: usize,
        x: Tensor<D>,
        prediction: Tensor<D>,
    ) -> (Tensor<D>, Tensor<D>) {
        match self.prediction {
            OutputForm::Epsilon => {
                let kept = self.schedule.alphas_cumprod()[self.index(step)];
                let (recip, recipm1) = ((1.0 / kept).sqrt() as f32, (1.0 / kept - 1.0).sqrt() as f32);
                let scaled = x * recip;
                let x0 = scaled.clone() - prediction * recipm1;
                (x0.clone(), (scaled - x0) / recipm1)
            }
            form @ (OutputForm::Velocity | OutputForm::X0) => {
                let level = self.noise_level(step);
                let x0 = level.convert(x.clone(), prediction.clone(), form, OutputForm::X0);
                (x0, level.convert(x, prediction, form, OutputForm::Epsilon))
            }
        }
    }

    fn index(&self, step: usize) -> usize {
        self.steps() - 1 - step
    }

    /// `ab` of the next cleaner index, and the standard deviation of the noise drawn in between.
    fn levels(&self, index: usize) -> (f64, f64) {
        let kept = self.schedule.alphas_cumprod();
        let previous = if index == 0 { 1.0 } else { kept[index - 1] };
        let spread = (1.0 - previous) / (1.0 - kept[index]) * (1.0 - kept[index] / previous);
        (previous, self.eta * spread.sqrt())
    }
}

/// The state of a [`Ddim`] trajectory: its source of noise, unless eta is 0.
#[derive(Debug)]
pub struct DdimHistory {
    noise: Option<GaussianNoise>,
}

impl<const D: usize> Sampler<D> for Ddim {
    type History = DdimHistory;

    fn name(&self) -> &'static str {
        "ddim"
    }

    fn steps(&self) -> usize {
        self.timestep_map.len()
    }

    /// The original timestep, e.g. in 0 to 999.
    fn time(&self, step: usize) -> f32 {
        self.timestep_map[self.index(step)] as f32
    }

    /// Half log-SNR.
    fn schedule_time(&self, step: usize) -> f64 {
        self.noise_level(step).half_log_snr()
    }

    fn noise_level(&self, step: usize) -> Marginal {
        Self::noise_level(self, step)
    }

    fn predicts(&self) -> OutputForm {
        self.prediction
    }

    fn start(&self) -> DdimHistory {
        DdimHistory { noise: (self.eta > 0.0).then(|| GaussianNoise::seeded(self.seed)) }
    }

    fn advance(
        &self,
        history: &mut DdimHistory,
        step: usize,
        x: Tensor<D>,
        prediction: Tensor<D>,
    ) -> Tensor<D> {
        let index = self.index(step);
        let (previous, deviation) = self.levels(index);
        let (shape, device) = (x.dims(), x.device());
        let (x0, eps) = self.split(step, x, prediction);
        let direction = (1.0 - previous - deviation * deviation).max(0.0).sqrt();
        let mean = x0 * previous.sqrt() as f32 + eps * direction as f32;
        match &mut history.noise {
            Some(noise) if index > 0 => mean + noise.draw(shape, &device) * deviation as f32,
            Some(_) | None => mean,
        }
    }

    fn deterministic(&self) -> Result<(), RuntimeError> {
        if self.eta == 0.0 {
            return Ok(());
        }
        Err(RuntimeError::Stochastic { sampler: "ddim".into(), detail: format!("eta = {}", self.eta) })
    }
}
