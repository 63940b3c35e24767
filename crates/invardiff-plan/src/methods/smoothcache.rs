//! SmoothCache (arXiv 2411.10510): the errors that it measures, and its greedy planner.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::{Kind, PlanError};
use crate::formats::{Measurement, SmoothCache, finite, limits};

/// The measurement of SmoothCache: per component, the relative L1 error `|O[i] - O[i+j]|_1 / |O[i+j]|_1` of reusing the output
/// of step `i` at step `i + j`, for `j = 1, 2, ..`, averaged over layers and runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentErrors {
    /// Number of steps.
    pub steps: usize,
    /// Per component, then per distance `j` from 1 on: the errors of all steps `i` with `i + j < steps`.
    pub components: BTreeMap<Kind, Vec<Vec<f64>>>,
}

impl ComponentErrors {
    /// The largest distance `j` that the authors measure, in steps.
    pub const LOOKAHEAD: usize = 3;

    /// The authors' greedy schedule for the threshold `alpha`: from the first step on, a component is computed, then reused up
    /// to the largest distance whose error is at most `alpha`, then computed again. The first and the last step are always
    /// computed.
    ///
    /// Published thresholds: 0.08 and 0.18 for 50 steps of DDIM, 0.35 for 30 steps.
    pub fn schedule(&self, alpha: f64) -> SmoothCache {
        let row = |errors: &Vec<Vec<f64>>| {
            let mut reused = vec![false; self.steps];
            let mut step = 0;
            while step < self.steps {
                let fits = |distance: &usize| errors[distance - 1].get(step).is_some_and(|e| *e <= alpha);
                let distance = (1..=errors.len()).rev().find(fits).unwrap_or(0);
                reused[step + 1..=step + distance].fill(true);
                step += distance + 1;
            }
            if let Some(last) = reused.last_mut() {
                *last = false;
            }
            reused
        };
        SmoothCache::from_rows(self.components.iter().map(|(kind, errors)| (*kind, row(errors))).collect())
    }
}

impl Measurement for ComponentErrors {
    const FORMAT: &'static str = "invardiff-smoothcache-errors";

    fn check(&self) -> Result<(), PlanError> {
        if self.steps == 0 || self.components.is_empty() {
            return Err(PlanError::TooFewSteps { steps: self.steps, needed: 1 });
        }
        limits::steps(self.steps)?;
        limits::kinds(self.components.keys().copied())?;
        for (kind, rows) in &self.components {
            limits::at_most(&format!("rows of components.{kind}"), rows.len(), self.steps)?;
            for (index, row) in rows.iter().enumerate() {
                let key = format!("components.{kind}[{index}]");
                let expected = self.steps.saturating_sub(index + 1);
                if row.len() != expected {
                    let (expected, found) = (vec![expected], vec![row.len()]);
                    return Err(PlanError::Shape { what: key, expected, found });
                }
                row.iter().try_for_each(|error| finite(&key, *error))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(rows: [&[f64]; 3]) -> ComponentErrors {
        let components = BTreeMap::from([(Kind::MSA, rows.map(<[f64]>::to_vec).to_vec())]);
        ComponentErrors { steps: rows[0].len() + 1, components }
    }

    fn drawn(errors: &ComponentErrors, alpha: f64) -> String {
        let schedule = errors.schedule(alpha);
        schedule.components()[0].1.iter().map(|reused| if *reused { '#' } else { '.' }).collect()
    }

    /// By hand: at 0 distance 2 fits (3 does not), at 3 nothing, at 4 distance 1, at 6 distance 3 fits but the last step, 9,
    /// is computed all the same.
    #[test]
    fn the_longest_distance_that_fits_is_reused() {
        let one = [0.1, 0.1, 0.1, 0.9, 0.2, 0.1, 0.1, 0.1, 0.1];
        let two = [0.2, 0.3, 0.3, 0.9, 0.6, 0.3, 0.2, 0.2];
        let three = [0.5, 0.4, 0.4, 0.9, 0.9, 0.4, 0.2];
        let errors = errors([&one, &two, &three]);
        errors.check().unwrap();
        assert_eq!(drawn(&errors, 0.2), ".##..#.##.");
        assert_eq!(drawn(&errors, 0.0), "..........");
        // Everything fits: three of four are reused.
        assert_eq!(drawn(&errors, 1.0), ".###.###..");
    }

    #[test]
    fn a_threshold_equal_to_the_error_reuses() {
        let errors = errors([&[0.5, 0.5, 0.5], &[0.9, 0.9], &[0.9]]);
        assert_eq!(drawn(&errors, 0.5), ".#..");
        assert_eq!(drawn(&errors, 0.499), "....");
    }

    #[test]
    fn rows_have_a_length_each() {
        let wrong = errors([&[0.5, 0.5, 0.5], &[0.9], &[0.9]]);
        assert!(wrong.check().unwrap_err().to_string().contains("components.msa[1] has shape [1]"));
        let nan = errors([&[0.5, f64::NAN, 0.5], &[0.9, 0.9], &[0.9]]);
        assert!(nan.check().unwrap_err().to_string().contains("components.msa[0] is NaN"));
    }
}
