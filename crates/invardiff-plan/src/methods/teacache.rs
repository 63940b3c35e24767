//! `TeaCache` (arXiv 2411.19108).

mod fit;

use serde::{Deserialize, Serialize};

use crate::core::PlanError;
use crate::methods::threshold::check_threshold;

pub use fit::{Polynomial, TeaCacheFit};

/// Skips all blocks while the estimated change of the output, summed since the last computed step, stays below a threshold. The
/// estimate is a polynomial in the relative change of the first block's modulated input. The first and the last step are
/// computed.
///
/// The polynomial is fitted to a model ([`TeaCacheFit`]); the published one is for FLUX.1-dev, with thresholds of 0.25, 0.4,
/// 0.6 and 0.8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeaCache {
    /// The polynomial from the input's change to the output's.
    pub coefficients: Polynomial,
    /// A step is computed where the sum reaches this value.
    pub threshold: f64,
}

/// The sum of the polynomial's values since the last computed step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accumulated(f64);

impl TeaCache {
    pub(super) fn start(&self) -> Result<Accumulated, PlanError> {
        check_threshold("TeaCache", self.threshold)?;
        Ok(Accumulated(0.0))
    }

    pub(super) fn skip(&self, sum: &mut Accumulated, change: Option<f64>) -> bool {
        let next = change.map(|change| sum.0 + self.coefficients.value(change));
        if let Some(next) = next.filter(|next| *next < self.threshold) {
            sum.0 = next;
            true
        } else {
            sum.0 = 0.0;
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::block_skip::{SkipRule, drawn};

    fn decide(coefficients: Polynomial, threshold: f64, changes: &[f64]) -> String {
        drawn(&SkipRule::TeaCache(TeaCache { coefficients, threshold }), changes)
    }

    /// By hand, with the identity and 0.5: sums 0.2, 0.4, 0.6 (computed, back to 0), 0.3, 0.5 (not below, computed), and the
    /// last step is computed whatever it says.
    #[test]
    fn changes_are_summed_until_the_threshold() {
        let changes = [0.0, 0.2, 0.2, 0.2, 0.3, 0.2, 0.1, 0.0];
        assert_eq!(decide(Polynomial::identity(), 0.5, &changes), ".##.#.#.");
        assert_eq!(decide(Polynomial::identity(), 0.0, &changes), "........");
        assert_eq!(decide(Polynomial::identity(), 9.0, &changes), ".######.");
    }

    /// The polynomial is applied to each change, not to their sum: 2 x 0.2^2 is below 0.1, (0.4)^2 is not.
    #[test]
    fn the_polynomial_is_applied_before_the_sum() {
        let square = Polynomial(vec![1.0, 0.0, 0.0]);
        assert_eq!(decide(square, 0.1, &[0.0, 0.2, 0.2, 0.2, 0.2, 0.2]), ".##.#.");
    }

    #[test]
    fn what_is_no_number_skips_nothing() {
        assert_eq!(decide(Polynomial::identity(), 0.5, &[0.0, f64::NAN, 0.1, 0.1, 0.0]), "..##.");
        let rule = |threshold| SkipRule::TeaCache(TeaCache { coefficients: Polynomial::flux(), threshold });
        assert!(rule(f64::NAN).decide(5).unwrap_err().to_string().contains("threshold of TeaCache is NaN"));
        assert!(rule(-1.0).decide(5).is_err() && rule(0.2).decide(0).is_err());
    }
}
