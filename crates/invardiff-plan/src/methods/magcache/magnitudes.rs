//! The measurement of MagCache.

use serde::{Deserialize, Serialize};

use crate::core::PlanError;
use crate::formats::{Measurement, finite, limits};

/// MagCache's magnitude ratios (arXiv 2506.09045): the mean over tokens of `|r_k| / |r_(k-1)|`, where `r_k` is what all
/// blocks add to the hidden state at step `k` and `|.|` the L2 norm of one token. The first is 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Magnitudes {
    /// One ratio per step, in sampling order.
    pub ratios: Vec<f64>,
}

/// How ratios measured at one number of steps are read for another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The ratio of the nearest step, with ties to the even one: the authors' rule.
    #[default]
    Nearest,
    /// Linear interpolation between the two nearest steps.
    Linear,
}

impl Magnitudes {
    /// The ratios for `steps` steps: step `k` reads position `k (len - 1) / (steps - 1)` of the measured ones.
    ///
    /// As in the authors' code, ratios are not scaled, although fewer steps have larger changes per step.
    pub fn resampled(&self, steps: usize, interpolation: Interpolation) -> Vec<f64> {
        let last = self.ratios.len().saturating_sub(1);
        if steps == 1 {
            return self.ratios.last().copied().into_iter().collect();
        }
        let scale = last as f64 / (steps.max(2) - 1) as f64;
        let at = |step: usize| {
            let place = step as f64 * scale;
            match interpolation {
                Interpolation::Nearest => self.ratios[place.round_ties_even() as usize],
                Interpolation::Linear => {
                    let below = place.floor() as usize;
                    let (low, high) = (self.ratios[below], self.ratios[(below + 1).min(last)]);
                    low + (high - low) * (place - below as f64)
                }
            }
        };
        (0..steps).map(at).collect()
    }
}

impl Measurement for Magnitudes {
    const FORMAT: &'static str = "invardiff-magnitudes";

    fn check(&self) -> Result<(), PlanError> {
        if self.ratios.is_empty() {
            return Err(PlanError::TooFewSteps { steps: 0, needed: 1 });
        }
        limits::steps(self.ratios.len())?;
        for (step, ratio) in self.ratios.iter().enumerate() {
            let key = format!("ratios[{step}]");
            finite(&key, *ratio)?;
            if *ratio < 0.0 {
                let expected = "a number from 0 on".into();
                return Err(PlanError::Range { what: key, value: ratio.to_string(), expected });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_number_of_steps_is_read_as_it_is() {
        let measured = Magnitudes { ratios: vec![1.0, 1.2, 0.9, 0.7, 0.4] };
        for interpolation in [Interpolation::Nearest, Interpolation::Linear] {
            assert_eq!(measured.resampled(5, interpolation), measured.ratios);
            assert_eq!(measured.resampled(1, interpolation), [0.4]);
            assert_eq!(measured.resampled(2, interpolation), [1.0, 0.4]);
            assert!(measured.resampled(0, interpolation).is_empty());
        }
    }

    #[test]
    fn other_numbers_of_steps_read_between() {
        let measured = Magnitudes { ratios: vec![1.0, 2.0, 4.0] };
        assert_eq!(measured.resampled(5, Interpolation::Linear), [1.0, 1.5, 2.0, 3.0, 4.0]);
        // Places 0, 0.5, 1, 1.5 and 2: halves go to the even step, 0 and 2.
        assert_eq!(measured.resampled(5, Interpolation::Nearest), [1.0, 1.0, 2.0, 4.0, 4.0]);
    }
}
