//! What a fitted plan says besides its gate: times of its own, weights of each step, and how they were found.

use serde::{Deserialize, Serialize};

use crate::core::error::PlanError;
use crate::core::rule::ReuseRule;
use crate::core::site::Site;

/// One evaluation of the network: the time that it is given, and the noise level of the sample there,
/// `x = alpha x0 + sigma eps`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimePoint {
    /// The time as the model is given it.
    pub time: f32,
    /// Weight of the clean sample.
    pub alpha: f64,
    /// Weight of the noise.
    pub sigma: f64,
}

/// The times of a plan that does not follow the sampler's own steps: one point a step, the noisiest first. From a point the
/// sample moves to the next by one first-order step on the clean sample (DDIM, flow-match Euler), and from the last to the
/// clean sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeGrid {
    /// Number of steps of the run that the plan stands for: shares of compute and speed-ups are told against it.
    pub instead_of: usize,
    /// One a step of the plan.
    pub points: Vec<TimePoint>,
}

impl TimeGrid {
    /// The points make a run for `steps` steps.
    pub(crate) fn check(&self, steps: usize) -> Result<(), PlanError> {
        if self.points.len() != steps {
            let (expected, found) = (vec![steps], vec![self.points.len()]);
            return Err(PlanError::Shape { what: "grid.points [steps]".into(), expected, found });
        }
        if self.instead_of == 0 {
            return Err(range("grid.instead_of", "0".into(), "at least 1 step"));
        }
        let noise = |point: &TimePoint| point.alpha / point.sigma;
        for (step, point) in self.points.iter().enumerate() {
            let good = point.time.is_finite()
                && (0.0..=1.0).contains(&point.alpha)
                && point.sigma > 0.0
                && point.sigma <= 1.0;
            if !good {
                let expected = "a finite time, alpha from 0 to 1 and sigma above 0 and at most 1";
                return Err(range(&format!("grid.points[{step}]"), format!("{point:?}"), expected));
            }
        }
        match self.points.windows(2).position(|pair| noise(&pair[0]) >= noise(&pair[1])) {
            None => Ok(()),
            Some(step) => Err(range(
                &format!("grid.points[{}]", step + 1),
                format!("{:?}", self.points[step + 1]),
                "less noise (alpha / sigma rises) than at the step before",
            )),
        }
    }
}

/// How a value is summed at one step where the rule is [`ReuseRule::Weights`].
///
/// Where the step computes the value, the sum is what goes on in its place; where it reuses it, the sum stands in. A row
/// without weights is the fresh value where it is computed, and the last one held where it is reused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightRow {
    /// Weights of the last computed values, the newest first: where the step computes, its own is the first.
    pub kept: Vec<f64>,
    /// Weight of the current sample, at the network's output in a form; 0 elsewhere.
    pub sample: f64,
}

impl WeightRow {
    /// The most weights in a row.
    pub const MAX: usize = ReuseRule::MAX_WEIGHTS;

    /// The row can be used; `key` names it.
    pub(crate) fn check(&self, key: &str) -> Result<(), PlanError> {
        if self.kept.len() > Self::MAX {
            let (expected, found) = (vec![Self::MAX], vec![self.kept.len()]);
            return Err(PlanError::Shape { what: format!("{key}.kept, at most"), expected, found });
        }
        let all = self.kept.iter().chain(std::iter::once(&self.sample));
        match all.copied().find(|weight| !weight.is_finite()) {
            None => Ok(()),
            Some(weight) => Err(range(key, weight.to_string(), "finite weights")),
        }
    }

    /// Whether a computed value goes on as it is.
    pub fn is_fresh(&self) -> bool {
        self.sample == 0.0
            && self.kept.iter().enumerate().all(|(age, weight)| *weight == if age == 0 { 1.0 } else { 0.0 })
    }
}

/// What fitted weights were fitted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The run that the plan stands for, computed in full.
    #[default]
    Own,
    /// The converged trajectory: where every solver leads with enough steps.
    Converged,
}

/// How weights were found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitRecord {
    /// What they were fitted to.
    pub target: Target,
    /// Steps of the trajectory that they were fitted to.
    pub target_steps: usize,
    /// How many conditions the weights were fitted on.
    pub fitted_on: usize,
    /// How many further conditions the plan was chosen on among others.
    pub chosen_on: usize,
    /// How strongly weights were drawn towards the solver's own, relative to the mean square of the values.
    pub ridge: f64,
    /// What each step's fit left: the root mean square distance of the sample after the step to the target's, over elements
    /// and conditions.
    pub residuals: Vec<f64>,
}

impl FitRecord {
    /// The record fits a plan of `steps` steps.
    pub(crate) fn check(&self, steps: usize) -> Result<(), PlanError> {
        if self.residuals.len() != steps {
            let (expected, found) = (vec![steps], vec![self.residuals.len()]);
            return Err(PlanError::Shape { what: "fit.residuals [steps]".into(), expected, found });
        }
        match self.residuals.iter().chain([&self.ridge]).find(|number| !number.is_finite()) {
            None => Ok(()),
            Some(number) => Err(range("fit", number.to_string(), "finite numbers")),
        }
    }
}

/// Weights of one site: one row a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteWeights {
    /// Where they act.
    pub site: Site,
    /// One row a step of the plan.
    pub rows: Vec<WeightRow>,
}

fn range(what: &str, value: String, expected: &str) -> PlanError {
    PlanError::Range { what: what.into(), value, expected: expected.into() }
}
