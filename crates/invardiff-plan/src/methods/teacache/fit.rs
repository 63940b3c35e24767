//! The polynomial of TeaCache, and fitting it.

use serde::{Deserialize, Serialize};

use crate::core::PlanError;
use crate::formats::{Measurement, finite};

/// A polynomial by its coefficients, the highest power first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Polynomial(pub Vec<f64>);

impl Polynomial {
    /// The published coefficients for FLUX.1-dev.
    pub fn flux() -> Self {
        Self(vec![498.651_651, -283.781_631, 55.855_438_2, -3.820_214_01, 0.264_230_861])
    }

    /// The polynomial `x`: changes are not scaled.
    pub fn identity() -> Self {
        Self(vec![1.0, 0.0])
    }

    /// The value at `x`, by Horner's rule.
    pub fn value(&self, x: f64) -> f64 {
        self.0.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
    }

    /// The polynomial of this degree with the least squared error over `(x, y)` pairs.
    ///
    /// Solved by modified Gram-Schmidt on columns `(x / scale)^i`, which is more precise than normal equations.
    ///
    /// # Errors
    /// [`PlanError::Range`] when there are at most `degree` different `x`, or a number is not finite.
    pub fn fit(pairs: &[(f64, f64)], degree: usize) -> Result<Self, PlanError> {
        let mut places: Vec<u64> = pairs.iter().map(|(x, _)| x.to_bits()).collect();
        places.sort_unstable();
        places.dedup();
        if places.len() <= degree {
            return Err(PlanError::Range {
                what: "the number of different measured changes".into(),
                value: places.len().to_string(),
                expected: format!("more than {degree}, the degree; measure more steps or runs"),
            });
        }
        for (x, y) in pairs {
            finite("a measured change", *x)?;
            finite("a measured change", *y)?;
        }
        let scale = pairs.iter().map(|(x, _)| x.abs()).fold(0.0, f64::max);
        let mut powers = vec![vec![1.0; pairs.len()]];
        for _ in 0..degree {
            let next =
                powers.last().into_iter().flatten().zip(pairs).map(|(power, (x, _))| power * x / scale);
            powers.push(next.collect());
        }
        let solution = least_squares(powers, pairs.iter().map(|(_, y)| *y).collect());
        let raw = solution.iter().zip(0_i32..).map(|(value, power)| value / scale.powi(power));
        Ok(Self(raw.collect::<Vec<_>>().into_iter().rev().collect()))
    }
}

/// The coefficients of the linear combination of `columns` nearest to `target`.
fn least_squares(mut columns: Vec<Vec<f64>>, mut target: Vec<f64>) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let count = columns.len();
    let mut upper = vec![vec![0.0; count]; count];
    let mut right = vec![0.0; count];
    for column in 0..count {
        let norm = dot(&columns[column], &columns[column]).sqrt();
        upper[column][column] = norm;
        let unit: Vec<f64> = columns[column].iter().map(|value| value / norm).collect();
        for (later, entry) in columns[column + 1..].iter_mut().zip(&mut upper[column][column + 1..]) {
            *entry = dot(&unit, later);
            later.iter_mut().zip(&unit).for_each(|(value, unit)| *value -= *entry * unit);
        }
        right[column] = dot(&unit, &target);
        target.iter_mut().zip(&unit).for_each(|(value, unit)| *value -= right[column] * unit);
    }
    let mut solution = vec![0.0; count];
    for row in (0..count).rev() {
        let known = dot(&upper[row][row + 1..], &solution[row + 1..]);
        solution[row] = (right[row] - known) / upper[row][row];
    }
    solution
}

/// The measurement of TeaCache (arXiv 2411.19108): a polynomial that predicts the relative change of the output from that of
/// the first block's modulated input, fitted to measured pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeaCacheFit {
    /// Coefficients, the highest power first.
    pub coefficients: Polynomial,
    /// The number of measured pairs.
    pub pairs: usize,
    /// Root mean square of the polynomial's errors.
    pub rms_error: f64,
    /// Root mean square of the measured output changes, to compare `rms_error` with.
    pub rms_change: f64,
    /// The smallest and the largest measured input change; outside of them the polynomial is not supported by data.
    pub range: [f64; 2],
}

impl TeaCacheFit {
    /// The degree of the published polynomial.
    pub const DEGREE: usize = 4;

    /// The fit to measured (input change, output change) pairs.
    ///
    /// # Errors
    /// As [`Polynomial::fit`].
    pub fn of(pairs: &[(f64, f64)]) -> Result<Self, PlanError> {
        let coefficients = Polynomial::fit(pairs, Self::DEGREE)?;
        let rms = |value: &dyn Fn(&(f64, f64)) -> f64| {
            (pairs.iter().map(|pair| value(pair).powi(2)).sum::<f64>() / pairs.len() as f64).sqrt()
        };
        let (rms_error, rms_change) =
            (rms(&|(x, y)| coefficients.value(*x) - y), rms(&|(_, output)| *output));
        let least = pairs.iter().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        let most = pairs.iter().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max);
        Ok(Self { coefficients, pairs: pairs.len(), rms_error, rms_change, range: [least, most] })
    }
}

impl Measurement for TeaCacheFit {
    const FORMAT: &'static str = "invardiff-teacache";

    fn check(&self) -> Result<(), PlanError> {
        let coefficients = self.coefficients.0.iter().enumerate();
        let named = coefficients.map(|(index, value)| (format!("coefficients[{index}]"), *value));
        let others = [("rms_error", self.rms_error), ("rms_change", self.rms_change)];
        let range = [("range[0]", self.range[0]), ("range[1]", self.range[1])];
        let all = named.chain(others.into_iter().chain(range).map(|(key, value)| (key.to_owned(), value)));
        all.into_iter().try_for_each(|(key, value)| finite(&key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horner_takes_the_highest_power_first() {
        assert_eq!(Polynomial(vec![2.0, -1.0, 3.0]).value(2.0), 9.0);
        assert_eq!(Polynomial::identity().value(0.375), 0.375);
        assert_eq!(Polynomial(Vec::new()).value(5.0), 0.0);
    }

    /// The published coefficients come back from values on the range where they are used, to the digits that the
    /// conditioning of a fourth power over [0, 0.3] leaves.
    #[test]
    fn a_polynomial_is_found_again() {
        let truth = Polynomial::flux();
        let pairs: Vec<(f64, f64)> =
            (0..60).map(|i| f64::from(i) * 0.005 + 0.003).map(|x| (x, truth.value(x))).collect();
        let found = TeaCacheFit::of(&pairs).unwrap();
        for (found, truth) in found.coefficients.0.iter().zip(&truth.0) {
            assert!((found / truth - 1.0).abs() < 1e-9, "{found}, expected {truth}");
        }
        assert!(found.rms_error < 1e-12 && found.pairs == 60, "{found:?}");
        assert_eq!(found.range, [0.003, 0.298]);
    }

    /// The residual of a least-squares solution is orthogonal to every power: nothing nearer exists.
    #[test]
    fn the_fit_of_scattered_values_is_the_nearest() {
        let pairs: Vec<(f64, f64)> = (0..40)
            .map(|i| {
                let x = f64::from(i) * 0.01;
                (x, x * x + 0.05 * f64::from((i * 37) % 11) - 0.2)
            })
            .collect();
        let found = Polynomial::fit(&pairs, 3).unwrap();
        for power in 0..=3 {
            let along: f64 = pairs.iter().map(|(x, y)| (found.value(*x) - y) * x.powi(power)).sum();
            assert!(along.abs() < 1e-12, "power {power}: {along}");
        }
    }

    #[test]
    fn too_few_places_are_refused() {
        let pairs = [(0.1, 1.0); 20];
        let message = TeaCacheFit::of(&pairs).unwrap_err().to_string();
        assert!(message.contains("different measured changes is 1, expected more than 4"), "{message}");
        assert!(Polynomial::fit(&[(0.1, f64::NAN), (0.2, 1.0)], 1).is_err());
    }
}
