//! Thresholds of skip rules.

use crate::core::PlanError;

/// Checks that a threshold is neither negative nor NaN.
pub(super) fn check_threshold(what: &str, threshold: f64) -> Result<(), PlanError> {
    if threshold >= 0.0 {
        return Ok(());
    }
    let (what, expected) = (format!("the threshold of {what}"), "a number from 0 on".to_owned());
    Err(PlanError::Range { what, value: threshold.to_string(), expected })
}
