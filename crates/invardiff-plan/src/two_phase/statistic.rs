//! The distance of two features, and the change rate of three.

use half::bf16;
use serde::{Deserialize, Serialize};

use crate::core::PlanError;

/// Added to every element of a difference (not to its norm), so that the change rate of a constant feature is 1 and not 0/0.
/// As in the authors' published code.
pub const EPSILON: f32 = 1e-8;

/// The floating-point type in which [`distance`] and [`change_rate`] compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Element-wise in float32; the sum is accumulated in float64 and rounded once.
    #[default]
    F32,
    /// Element-wise in bfloat16, with the norm and the rate rounded to bfloat16 (steps of 0.4 to 0.8 percent): what the
    /// authors' published code does on a model that runs in bfloat16.
    Bf16,
}

impl Precision {
    /// Rounds to the nearest number of this precision.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::Bf16 => bf16::from_f32(value).to_f32(),
        }
    }
}

/// The distance `D(from, to)` = L1 norm of `(to - from) + 1e-8`, over all elements of a feature.
///
/// The change metric of the paper (arXiv 2512.05134, quantile-based change metrics), with the epsilon of the authors'
/// published code. This is the reference on plain arrays; recorders compute the same on their device.
///
/// # Errors
/// [`PlanError::Shape`] when the arrays differ in length.
pub fn distance(from: &[f32], to: &[f32], precision: Precision) -> Result<f32, PlanError> {
    if from.len() != to.len() {
        let (expected, found) = (vec![from.len()], vec![to.len()]);
        return Err(PlanError::Shape { what: "the later feature of a distance".into(), expected, found });
    }
    let epsilon = precision.round(EPSILON);
    let change = |(from, to): (&f32, &f32)| {
        let difference = precision.round(precision.round(*to) - precision.round(*from));
        f64::from(precision.round(difference + epsilon).abs())
    };
    Ok(precision.round(from.iter().zip(to).map(change).sum::<f64>() as f32))
}

/// The change rate `D(current, new) / D(previous, current)`: below 1 where the feature changes less than one step before.
///
/// [`Precision::Bf16`] rounds the quotient too, as the authors' published code does for the step gate. For modules that code
/// divides the rounded norms in float32.
///
/// # Errors
/// [`PlanError::Shape`] when the arrays differ in length.
pub fn change_rate(
    previous: &[f32],
    current: &[f32],
    new: &[f32],
    precision: Precision,
) -> Result<f32, PlanError> {
    Ok(precision.round(distance(current, new, precision)? / distance(previous, current, precision)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epsilon_stands_in_every_element() {
        let same = [0.5; 4];
        assert_eq!(distance(&same, &same, Precision::F32).unwrap(), 4e-8);
        assert_eq!(change_rate(&same, &same, &same, Precision::F32).unwrap(), 1.0);
        // Not symmetric: the epsilon is added before the absolute value.
        assert_eq!(distance(&[0.0], &[1e-8], Precision::F32).unwrap(), 2e-8);
        assert_eq!(distance(&[1e-8], &[0.0], Precision::F32).unwrap(), 0.0);
    }

    #[test]
    fn bfloat16_rounds_the_norm() {
        // 257 has no bfloat16: the neighbours are 256 and 258, and ties go to even.
        let (from, to) = ([0.0; 257], [1.0; 257]);
        assert_eq!(distance(&from, &to, Precision::F32).unwrap(), 257.0);
        assert_eq!(distance(&from, &to, Precision::Bf16).unwrap(), 256.0);
    }

    #[test]
    fn arrays_of_different_length_are_refused() {
        let error = distance(&[0.0; 3], &[0.0; 4], Precision::F32).unwrap_err();
        assert!(matches!(error, PlanError::Shape { .. }), "{error}");
    }
}
