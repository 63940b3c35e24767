//! The choice of timesteps that a sampler visits.

use crate::error::RuntimeError;

/// A rule that chooses `T` of `N` training timesteps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// The original DiT code's `timestep_respacing = str(T)`: the running sum of `(N - 1) / (T - 1)` from 0, rounded half
    /// to even. Reaches 0 and `N - 1`; one step visits timestep 0.
    Respaced,
    /// `T + 1` equal steps from 0 to `N - 1`, rounded half to even, without 0 (`linspace` of diffusers'
    /// `DPMSolverMultistepScheduler`, its default).
    Linspace,
    /// Multiples 1 to `T` of `N / (T + 1)` rounded down, plus `offset` (`leading` of the same, with its `steps_offset`).
    Leading {
        /// Added to every timestep.
        offset: usize,
    },
    /// From `N` downward by `N / T`, rounded half to even, minus 1 (`trailing` of the same).
    Trailing,
}

impl Spacing {
    /// The chosen timesteps in sampling order, strictly decreasing.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] without steps, or when the rule cannot choose that many different timesteps.
    pub fn timesteps(
        self,
        num_inference_steps: usize,
        num_train_timesteps: usize,
    ) -> Result<Vec<usize>, RuntimeError> {
        let refuse = |expected| RuntimeError::Range {
            what: "num_inference_steps",
            value: format!("{num_inference_steps} of {num_train_timesteps} training timesteps"),
            expected,
        };
        if num_inference_steps == 0 {
            return Err(refuse("at least 1"));
        }
        if num_inference_steps > num_train_timesteps {
            return Err(refuse("at most the number of training timesteps"));
        }
        let timesteps = self.chosen(num_inference_steps, num_train_timesteps);
        if falling(&timesteps, num_train_timesteps) {
            Ok(timesteps)
        } else {
            Err(refuse("fewer steps: this spacing would visit a timestep twice or outside of the schedule"))
        }
    }

    fn chosen(self, steps: usize, train: usize) -> Vec<usize> {
        let (count, total) = (steps as f64, train as f64);
        match self {
            Self::Respaced => {
                let stride = if steps == 1 { 1.0 } else { (total - 1.0) / (count - 1.0) };
                let sums = std::iter::successors(Some(0.0), |sum| Some(sum + stride));
                let mut timesteps: Vec<usize> = sums.take(steps).map(round).collect();
                timesteps.reverse();
                timesteps
            }
            Self::Linspace => {
                let step = (total - 1.0) / count;
                (1..=steps)
                    .rev()
                    .map(|i| if i == steps { train - 1 } else { round(i as f64 * step) })
                    .collect()
            }
            Self::Leading { offset } => {
                let ratio = train / (steps + 1);
                (1..=steps).rev().map(|i| i * ratio + offset).collect()
            }
            Self::Trailing => {
                let step = (total - total / count) - total; // as numpy.arange: the second value minus the first
                (0..steps).map(|i| round(total + i as f64 * step).saturating_sub(1)).collect()
            }
        }
    }
}

/// Checks a list of timesteps in sampling order.
///
/// # Errors
/// [`RuntimeError::Range`] when it is empty, does not decrease strictly, or lies outside of the schedule.
pub(super) fn check(timesteps: &[usize], num_train_timesteps: usize) -> Result<(), RuntimeError> {
    if falling(timesteps, num_train_timesteps) {
        return Ok(());
    }
    Err(RuntimeError::Range {
        what: "timesteps",
        value: format!("{timesteps:?} of {num_train_timesteps} training timesteps"),
        expected: "one or more timesteps, the noisiest first and strictly falling, below the number of training timesteps",
    })
}

fn falling(timesteps: &[usize], num_train_timesteps: usize) -> bool {
    timesteps.first().is_some_and(|first| *first < num_train_timesteps)
        && timesteps.windows(2).all(|pair| pair[0] > pair[1])
}

fn round(value: f64) -> usize {
    value.round_ties_even() as usize
}
