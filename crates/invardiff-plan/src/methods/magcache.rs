//! `MagCache` (arXiv 2506.09045).

mod magnitudes;

use serde::{Deserialize, Serialize};

use crate::core::PlanError;
use crate::formats::Measurement as _;
use crate::methods::threshold::check_threshold;

pub use magnitudes::{Interpolation, Magnitudes};

/// Skips all blocks while the error predicted from measured magnitude ratios stays small. Nothing is measured while it runs:
/// the skipped steps follow from the ratios ([`MagCache::gate`]).
///
/// The authors' settings for FLUX.1-dev are a threshold of 0.24, at most 5 skipped steps in a row, and a retention of 0.1;
/// the defaults of diffusers are 0.06, 3 and 0.2. The authors' code for FLUX also computes the eleventh of 28 steps whatever
/// the rule says; that is left out here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MagCache {
    /// The measured ratios, for any number of steps.
    pub magnitudes: Magnitudes,
    /// How ratios are read for another number of steps.
    pub interpolation: Interpolation,
    /// The largest accumulated error at which blocks are skipped.
    pub threshold: f64,
    /// The most skipped steps in a row.
    pub longest_run: usize,
    /// The share of steps at the start that are always computed, in `[0, 1]`.
    pub retention: f64,
}

impl MagCache {
    /// The authors' settings for FLUX.1-dev with these ratios.
    pub const fn authors(magnitudes: Magnitudes) -> Self {
        let interpolation = Interpolation::Nearest;
        Self { magnitudes, interpolation, threshold: 0.24, longest_run: 5, retention: 0.1 }
    }

    /// The step gate `[steps]`, `true` = skipped. From step `floor(retention * steps + 0.5)` on, but not before step 1, the
    /// ratio since the last computed step is the product of the measured ones, and `|1 - ratio|` is summed over the steps
    /// since then. A step is skipped while the sum is at most the threshold and not too many steps in a row are skipped.
    ///
    /// # Errors
    /// [`PlanError::Range`] naming a setting that is out of range.
    pub fn gate(&self, steps: usize) -> Result<Vec<bool>, PlanError> {
        check_threshold("MagCache", self.threshold)?;
        self.magnitudes.check()?;
        if !(0.0..=1.0).contains(&self.retention) {
            let (what, expected) = ("the retention of MagCache".into(), "a share from 0 to 1".into());
            return Err(PlanError::Range { what, value: self.retention.to_string(), expected });
        }
        let first = ((self.retention * steps as f64 + 0.5).floor() as usize).max(1);
        let ratios = self.magnitudes.resampled(steps, self.interpolation);
        let (mut ratio, mut error, mut run) = (1.0, 0.0, 0);
        let skip = |(step, own): (usize, &f64)| {
            if step < first {
                return false;
            }
            ratio *= own;
            error += f64::abs(1.0 - ratio);
            run += 1;
            let skip = error <= self.threshold && run <= self.longest_run;
            if !skip {
                (ratio, error, run) = (1.0, 0.0, 0);
            }
            skip
        };
        Ok(ratios.iter().enumerate().map(skip).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::block_skip::{SkipRule, drawn};

    fn rule(ratios: &[f64]) -> MagCache {
        let magnitudes = Magnitudes { ratios: ratios.to_vec() };
        MagCache { threshold: 0.1, longest_run: 3, retention: 0.2, ..MagCache::authors(magnitudes) }
    }

    fn gate(rule: &MagCache, steps: usize) -> String {
        let found = rule.gate(steps).unwrap();
        let drawn_by_the_rule = drawn(&SkipRule::MagCache(rule.clone()), &vec![0.0; steps]);
        let text: String = found.iter().map(|skip| if *skip { '#' } else { '.' }).collect();
        assert_eq!(text, drawn_by_the_rule);
        text
    }

    /// By hand for ten steps, of which two are retained. Ratios 0.98: errors 0.02, 0.0596, 0.1184 is too much. The sum of
    /// products is what counts: three times 0.02 would be 0.06.
    #[test]
    fn errors_are_those_of_the_products() {
        assert_eq!(gate(&rule(&[0.98; 10]), 10), "..##.##.##");
        assert_eq!(gate(&rule(&[1.0; 10]), 10), "..###.###.");
        assert_eq!(gate(&MagCache { longest_run: 0, ..rule(&[1.0; 10]) }, 10), "..........");
    }

    /// A ratio above 1 and one below cancel in the product.
    #[test]
    fn ratios_cancel() {
        let ratios = [1.0, 1.0, 1.0, 1.1, 1.0 / 1.1, 1.0, 1.0, 2.0];
        let rule = MagCache { threshold: 0.11, longest_run: 9, retention: 0.0, ..rule(&ratios) };
        assert_eq!(gate(&rule, 8), ".######.");
    }

    #[test]
    fn another_number_of_steps_reads_between() {
        let ratios = [1.0, 1.0, 1.0, 1.0, 1.12];
        let rule = MagCache { retention: 0.0, ..rule(&ratios) };
        // The step before the last reads the last ratio, or the mean of the last two.
        assert_eq!(gate(&rule, 9), ".###.##..");
        assert_eq!(gate(&MagCache { interpolation: Interpolation::Linear, ..rule.clone() }, 9), ".###.###.");
        assert_eq!(gate(&rule, 1), ".");
        assert!(MagCache { retention: 1.5, ..rule }.gate(9).unwrap_err().to_string().contains("retention"));
    }
}
