//! Spectrum (arXiv 2603.01623): the last hidden state is forecast by Chebyshev polynomials fitted with a ridge.

use crate::core::{CachePlan, GateSite, PlanError, Provenance, ReuseRule, Site, Topology, WeightRow};
use crate::fitted::ridge_weights;

/// The settings of Spectrum. Its plan computes the first steps and then one step per interval; at the others the value after the
/// last block is a weighted sum of computed ones: the least-squares fit of a Chebyshev series to them, with a ridge on its
/// coefficients, at the step's place among all steps.
///
/// The fit is linear in the values, so the plan has its weights (`ReuseRule::Weights`) and no code of its own runs. Written from the
/// published description. Deviations: the fit is over the last [`WeightRow::MAX`] computed values (theirs keeps all), the interval
/// does not grow along the run, and no share of a local difference is mixed in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spectrum {
    /// Steps from one computed step to the next.
    pub interval: usize,
    /// Degree of the series.
    pub degree: usize,
    /// The ridge on its coefficients.
    pub ridge: f64,
    /// The number of steps at the start that are all computed, at least 1.
    pub first: usize,
}

impl Default for Spectrum {
    /// The published degree 4 and ridge 0.1; every third step, after five computed ones.
    fn default() -> Self {
        Self { interval: 3, degree: 4, ridge: 0.1, first: 5 }
    }
}

impl Spectrum {
    /// The plan for a model.
    ///
    /// # Errors
    /// [`PlanError::Range`] for an interval or a number of first steps of 0 and for a ridge that is not above 0;
    /// [`PlanError::TooFewSteps`] without steps.
    pub fn plan(&self, topology: &Topology, steps: usize) -> Result<CachePlan, PlanError> {
        for (what, value, fits, expected) in [
            ("the interval of Spectrum", self.interval.to_string(), self.interval > 0, "at least 1 step"),
            ("the first steps of Spectrum", self.first.to_string(), self.first > 0, "at least 1"),
            (
                "the ridge of Spectrum",
                self.ridge.to_string(),
                self.ridge > 0.0 && self.ridge.is_finite(),
                "a finite number above 0",
            ),
        ] {
            if !fits {
                return Err(PlanError::Range { what: what.into(), value, expected: expected.into() });
            }
        }
        if steps == 0 {
            return Err(PlanError::TooFewSteps { steps, needed: 1 });
        }
        let computed =
            |step: &usize| *step < self.first || (step + 1 - self.first).is_multiple_of(self.interval);
        let rows = (0..steps).map(|step| {
            if computed(&step) {
                return WeightRow::default();
            }
            let known = (0..step).rev().filter(computed).take(WeightRow::MAX);
            let known: Vec<f64> = known.map(|step| place(step, steps)).collect();
            WeightRow { kept: self.weights(&known, place(step, steps)), sample: 0.0 }
        });
        let rows: Vec<WeightRow> = rows.collect();
        let gate = (0..steps).map(|step| !computed(&step)).collect();
        let provenance =
            Provenance { method: format!("spectrum-{}", self.interval), ..Provenance::default() };
        CachePlan::gate_only(topology, gate)
            .with_gate_rule(GateSite::Trunk, ReuseRule::Hold)
            .with_provenance(provenance)
            .with_weights(Site::TRUNK, rows)
    }

    /// The weights of values at some places, the newest first, in the forecast at another: `phi' (Phi' Phi + ridge I)^-1 Phi'`.
    fn weights(&self, known: &[f64], at: f64) -> Vec<f64> {
        let terms = self.degree + 1;
        let basis: Vec<Vec<f64>> = known.iter().map(|place| chebyshev(*place, terms)).collect();
        let mut m = vec![0.0; terms * terms];
        for values in &basis {
            (0..terms * terms).for_each(|entry| m[entry] += values[entry / terms] * values[entry % terms]);
        }
        (0..terms).for_each(|i| m[i * terms + i] += self.ridge);
        let coefficients = ridge_weights(&m, &chebyshev(at, terms), &vec![0.0; terms], 0.0);
        let weight = |values: &Vec<f64>| values.iter().zip(&coefficients).map(|(a, b)| a * b).sum();
        basis.iter().map(weight).collect()
    }
}

/// The place of a step among all, from -1 to 1.
fn place(step: usize, steps: usize) -> f64 {
    2.0 * step as f64 / (steps.max(2) - 1) as f64 - 1.0
}

/// The first `terms` Chebyshev polynomials.
fn chebyshev(at: f64, terms: usize) -> Vec<f64> {
    let mut values = vec![1.0, at];
    while values.len() < terms {
        let [.., before, last] = values[..] else { break };
        values.push(2.0 * at * last - before);
    }
    values.truncate(terms);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_of_the_degree_is_forecast() {
        let spectrum = Spectrum { degree: 2, ridge: 1e-9, ..Spectrum::default() };
        let (known, curve) = ([0.3, 0.0, -0.2, -0.7], |x: f64| 1.5 - 0.4 * x + 0.8 * x * x);
        let weights = spectrum.weights(&known, 0.5);
        let forecast: f64 = weights.iter().zip(known).map(|(weight, x)| weight * curve(x)).sum();
        assert!((forecast - curve(0.5)).abs() < 1e-6, "{forecast}");
        // A ridge shrinks what the values do not determine.
        let held = Spectrum { ridge: 10.0, ..spectrum }.weights(&known, 0.5);
        assert!(held.iter().map(|weight| weight.abs()).sum::<f64>() < 1.0, "{held:?}");
    }

    #[test]
    fn the_plan_is_a_gate_with_weights() {
        let topology = Topology::named("dit-s-2-256").unwrap();
        let plan = Spectrum::default().plan(&topology, 20).unwrap();
        let drawn: String = plan.gate().iter().map(|skipped| if *skipped { '#' } else { '.' }).collect();
        assert_eq!(drawn, ".....##.##.##.##.##.");
        let schedule = plan.schedule(&topology).unwrap();
        let slot = schedule.slot(Site::TRUNK).unwrap();
        assert_eq!(schedule.action(5, slot).recipe().map(<[_]>::len), Some(5));
        let refused = |spectrum: Spectrum| spectrum.plan(&topology, 8).unwrap_err().to_string();
        assert!(refused(Spectrum { interval: 0, ..Spectrum::default() }).contains("interval"));
        assert!(refused(Spectrum { ridge: 0.0, ..Spectrum::default() }).contains("ridge"));
        assert!(refused(Spectrum { first: 0, ..Spectrum::default() }).contains("first"));
    }
}
