//! Flow-match Euler, the sampler of FLUX.

use burn::tensor::Tensor;
use invardiff_plan::OutputForm;

use crate::error::RuntimeError;
use crate::sampler::Sampler;
use crate::samplers::marginal::Marginal;
use crate::samplers::noise_schedule::linspace;

/// The shift of sigmas towards the noisy end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shift {
    /// `s sigma / (1 + (s - 1) sigma)`; 1 changes nothing (FLUX.1-schnell).
    Static(f64),
    /// `e^mu / (e^mu + 1 / sigma - 1)` (FLUX.1-dev), which is [`Shift::Static`] with `s = e^mu`.
    Dynamic {
        /// The logarithm of the shift, see [`Shift::for_image`].
        mu: f64,
    },
}

impl Shift {
    /// The dynamic shift of FLUX.1-dev for an image of `image_seq_len` packed tokens: `mu` is linear, 0.5 at 256 and 1.15 at
    /// 4096 tokens.
    pub fn for_image(image_seq_len: usize) -> Self {
        let slope = (1.15 - 0.5) / (4096.0 - 256.0);
        Self::Dynamic { mu: image_seq_len as f64 * slope + (0.5 - slope * 256.0) }
    }

    /// The shifted value of a sigma in `(0, 1]`.
    pub fn apply(self, sigma: f64) -> f64 {
        let shifted = match self {
            Self::Static(shift) => shift * sigma / (1.0 + (shift - 1.0) * sigma),
            Self::Dynamic { mu } => mu.exp() / (mu.exp() + (1.0 / sigma - 1.0)),
        };
        shifted.min(1.0) // 1 stays 1 whatever the rounding
    }

    fn check(self) -> Result<(), RuntimeError> {
        let (what, value, good) = match self {
            Self::Static(shift) => ("shift", shift, shift > 0.0 && shift.is_finite()),
            Self::Dynamic { mu } => ("mu", mu, mu.abs() < 100.0),
        };
        if good {
            return Ok(());
        }
        let expected = "a finite number, above 0 for a static shift and within 100 of 0 for mu";
        Err(RuntimeError::Range { what, value: value.to_string(), expected })
    }
}

/// Euler steps along `x = (1 - sigma) x0 + sigma eps`, for a model that predicts the velocity `eps - x0`.
///
/// The model is given sigma in `[0, 1]`, as in the original FLUX code. (The timestep of diffusers is 1000 sigma, and is divided
/// by 1000 before the model.)
#[derive(Clone, Debug)]
pub struct FlowMatchEuler {
    /// One per step, and a final 0.
    sigmas: Vec<f64>,
}

impl FlowMatchEuler {
    /// The grid of the FLUX pipelines: `T` equal steps from 1 to `1 / T`, shifted.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] without steps or with a shift out of range.
    pub fn new(num_inference_steps: usize, shift: Shift) -> Result<Self, RuntimeError> {
        shift.check()?;
        let last = 1.0 / num_inference_steps.max(1) as f64;
        let sigmas = linspace(1.0, last, num_inference_steps);
        Self::from_sigmas(sigmas.into_iter().map(|sigma| shift.apply(sigma)).collect())
    }

    /// The default grid of `FlowMatchEulerDiscreteScheduler` of diffusers (`set_timesteps(T)` without sigmas) with a static
    /// shift: `T` equal steps over the shifted range of the training timesteps, then shifted once more.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] without steps or training timesteps, or with a shift out of range.
    pub fn over_training_range(
        num_inference_steps: usize,
        shift: f64,
        num_train_timesteps: usize,
    ) -> Result<Self, RuntimeError> {
        let shift = Shift::Static(shift);
        shift.check()?;
        if num_train_timesteps == 0 {
            let (value, expected) = ("0".to_owned(), "at least 1");
            return Err(RuntimeError::Range { what: "num_train_timesteps", value, expected });
        }
        let last = shift.apply(1.0 / num_train_timesteps as f64);
        let sigmas = linspace(shift.apply(1.0), last, num_inference_steps);
        Self::from_sigmas(sigmas.into_iter().map(|sigma| shift.apply(sigma)).collect())
    }

    /// The sampler over these sigmas, one per step, the noisiest first. A final 0 is added.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when there are none, or they do not decrease strictly within `(0, 1]`.
    pub fn from_sigmas(mut sigmas: Vec<f64>) -> Result<Self, RuntimeError> {
        if sigmas.is_empty() {
            let (value, expected) = ("0".to_owned(), "at least 1");
            return Err(RuntimeError::Range { what: "num_inference_steps", value, expected });
        }
        sigmas.push(0.0);
        if !(sigmas[0] <= 1.0 && sigmas.windows(2).all(|pair| pair[0] > pair[1])) {
            let (value, expected) =
                (format!("{sigmas:?}"), "values that fall strictly from at most 1 to above 0");
            return Err(RuntimeError::Range { what: "sigmas", value, expected });
        }
        Ok(Self { sigmas })
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// The sigma of every step and a final 0, `[steps + 1]`.
    pub fn sigmas(&self) -> &[f64] {
        &self.sigmas
    }

    /// The noise level at `step` (sampling order).
    ///
    /// # Panics
    /// When there is no such step.
    pub fn noise_level(&self, step: usize) -> Marginal {
        Marginal::straight(self.sigmas[..self.steps()][step])
    }
}

impl<const D: usize> Sampler<D> for FlowMatchEuler {
    type History = ();

    fn name(&self) -> &'static str {
        "flow-match-euler"
    }

    fn steps(&self) -> usize {
        self.sigmas.len() - 1
    }

    /// Sigma, from 1 (noise) towards 0.
    fn time(&self, step: usize) -> f32 {
        self.sigmas[step] as f32
    }

    /// Sigma.
    fn schedule_time(&self, step: usize) -> f64 {
        self.sigmas[step]
    }

    fn noise_level(&self, step: usize) -> Marginal {
        Self::noise_level(self, step)
    }

    fn predicts(&self) -> OutputForm {
        OutputForm::Velocity
    }

    fn start(&self) {}

    fn advance(&self, (): &mut (), step: usize, x: Tensor<D>, prediction: Tensor<D>) -> Tensor<D> {
        x + prediction * (self.sigmas[step + 1] - self.sigmas[step]) as f32
    }
}
