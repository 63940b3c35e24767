//! The noise schedule of a diffusion model.

use crate::error::RuntimeError;

/// How `beta` grows over the training timesteps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BetaSchedule {
    /// `beta` grows from `start` to `end` in equal steps (DiT: 1e-4 to 2e-2 over 1000 timesteps).
    Linear {
        /// First value.
        start: f64,
        /// Last value.
        end: f64,
    },
    /// The square root of `beta` grows in equal steps, `beta` from `start` to `end` (Stable Diffusion).
    ScaledLinear {
        /// First value.
        start: f64,
        /// Last value.
        end: f64,
    },
}

impl BetaSchedule {
    /// The schedule of DiT.
    pub const DIT: Self = Self::Linear { start: 1e-4, end: 2e-2 };

    /// `beta` at each of `timesteps` timesteps, the cleanest first.
    fn betas(self, timesteps: usize) -> Vec<f64> {
        match self {
            Self::Linear { start, end } => linspace(start, end, timesteps),
            Self::ScaledLinear { start, end } => {
                linspace(start.sqrt(), end.sqrt(), timesteps).into_iter().map(|root| root * root).collect()
            }
        }
    }
}

/// The tables of a variance-preserving forward process `x_t = sqrt(ab_t) x0 + sqrt(1 - ab_t) eps`, in f64, by *index*: 0 is the
/// cleanest. (Sampling order is the reverse.)
///
/// The same type holds the schedule of training and a shorter one respaced from it, as in improved DDPM (Nichol and Dhariwal
/// 2021).
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseSchedule {
    betas: Vec<f64>,
    alphas_cumprod: Vec<f64>,
}

impl NoiseSchedule {
    /// The schedule of DiT: 1000 timesteps, linear.
    pub fn dit() -> Self {
        let betas = BetaSchedule::DIT.betas(1000);
        let alphas_cumprod = cumulative(&betas);
        Self { betas, alphas_cumprod }
    }

    /// The schedule over `num_train_timesteps` timesteps.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] without timesteps, or where a beta is not between 0 and 1.
    pub fn new(schedule: BetaSchedule, num_train_timesteps: usize) -> Result<Self, RuntimeError> {
        Self::from_betas(schedule.betas(num_train_timesteps))
    }

    /// A schedule from its betas, the cleanest first.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] without betas, or where one is not between 0 and 1 (both excluded: pure noise cannot be
    /// converted to a clean sample).
    pub fn from_betas(betas: Vec<f64>) -> Result<Self, RuntimeError> {
        if betas.is_empty() {
            let (value, expected) = ("0".to_owned(), "at least 1");
            return Err(RuntimeError::Range { what: "num_train_timesteps", value, expected });
        }
        if let Some(beta) = betas.iter().find(|beta| !(**beta > 0.0 && **beta < 1.0)) {
            let (value, expected) = (beta.to_string(), "a value between 0 and 1, both excluded");
            return Err(RuntimeError::Range { what: "beta", value, expected });
        }
        let alphas_cumprod = cumulative(&betas);
        Ok(Self { betas, alphas_cumprod })
    }

    /// The schedule of the process that visits only `timesteps` (increasing). Betas are computed from the ratios of
    /// `alphas_cumprod`, and all other tables from these betas, as in the original DiT code.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when there are no timesteps, they do not increase strictly, or lie outside of the schedule.
    pub fn respaced(&self, timesteps: &[usize]) -> Result<Self, RuntimeError> {
        let inside = timesteps.last().is_some_and(|last| *last < self.len());
        if !inside || timesteps.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(RuntimeError::Range {
                what: "timesteps",
                value: format!("{timesteps:?} (cleanest first) of {}", self.len()),
                expected: "one or more different timesteps in order, below the number of training timesteps",
            });
        }
        let mut previous = 1.0;
        let betas = timesteps.iter().map(|timestep| {
            let kept = self.alphas_cumprod[*timestep];
            1.0 - kept / std::mem::replace(&mut previous, kept)
        });
        Self::from_betas(betas.collect())
    }

    /// Number of timesteps, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a schedule is never empty")]
    pub fn len(&self) -> usize {
        self.betas.len()
    }

    /// `beta` by index.
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// `ab` by index: the cumulative product of `1 - beta`.
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// `ab` of the index before; 1 at index 0.
    pub fn alphas_cumprod_prev(&self) -> Vec<f64> {
        std::iter::once(1.0).chain(self.alphas_cumprod.iter().copied()).take(self.len()).collect()
    }

    /// `sqrt(1 / ab)` by index.
    pub fn sqrt_recip_alphas_cumprod(&self) -> Vec<f64> {
        self.alphas_cumprod.iter().map(|kept| (1.0 / kept).sqrt()).collect()
    }

    /// `sqrt(1 / ab - 1)` by index.
    pub fn sqrt_recipm1_alphas_cumprod(&self) -> Vec<f64> {
        self.alphas_cumprod.iter().map(|kept| (1.0 / kept - 1.0).sqrt()).collect()
    }

    /// The logarithm of the variance of `q(x_{t-1} | x_t, x0)` by index. The variance is 0 at index 0, which repeats index 1.
    /// Empty for a single timestep.
    pub fn posterior_log_variance_clipped(&self) -> Vec<f64> {
        let previous = self.alphas_cumprod_prev();
        let variance = |i: usize| self.betas[i] * (1.0 - previous[i]) / (1.0 - self.alphas_cumprod[i]);
        if self.len() == 1 {
            return Vec::new();
        }
        (0..self.len()).map(|i| variance(i.max(1)).ln()).collect()
    }
}

/// `count` values from `start` to `end`, as `numpy.linspace`.
pub(super) fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    let step = (end - start) / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| if i > 0 && i + 1 == count { end } else { i as f64 * step + start }).collect()
}

fn cumulative(betas: &[f64]) -> Vec<f64> {
    let mut product = 1.0;
    let running = betas.iter().map(|beta| {
        product *= 1.0 - beta;
        product
    });
    running.collect()
}
