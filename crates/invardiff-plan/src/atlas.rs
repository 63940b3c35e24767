//! What each possible skip would cost: measured once, planned from many times.

use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};

use crate::{GateSite, PlanError, ReuseRule, TimeAxis};

/// For every step `k` and every admissible pair of anchors `a < b < k`, the squared error of the clean sample that the
/// network predicts at `k`, when the values of `a` and `b` stand in: the mean square over the elements of a picture,
/// averaged over calibration runs. What an error at `k` does to the final picture is [`ErrorAtlas::importance`].
///
/// Anchors are at most [`ErrorAtlas::window`] steps away: `k - b <= window` and `b - a <= window`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorAtlas {
    /// The model's name.
    pub model: String,
    /// Where the skip acts.
    pub gate_site: GateSite,
    /// The axis of extrapolation.
    pub axis: TimeAxis,
    /// The sampler's own time of each step.
    pub times: Vec<f64>,
    /// The farthest anchor, in steps.
    pub window: usize,
    /// How many runs were averaged.
    pub runs: usize,
    /// Per step, the squared error of the final picture that a unit squared error of the clean sample predicted there
    /// makes; 1 until set.
    pub importance: Vec<f64>,
    hold: Array2<f64>,
    linear: Array3<f64>,
}

impl ErrorAtlas {
    /// An atlas without entries, for `times.len()` steps.
    pub fn new(model: String, gate_site: GateSite, axis: TimeAxis, times: Vec<f64>, window: usize) -> Self {
        let steps = times.len();
        let hold = Array2::from_elem((steps, window), f64::NAN);
        let linear = Array3::from_elem((steps, window, window), f64::NAN);
        Self { model, gate_site, axis, times, window, runs: 0, importance: vec![1.0; steps], hold, linear }
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.times.len()
    }

    /// All `(step, anchor b, earlier anchor a)` that the atlas has room for; `None` is the value of `b` held.
    pub fn entries(&self) -> Vec<(usize, usize, Option<usize>)> {
        let mut entries = Vec::new();
        for step in 1..self.steps() {
            for b in step.saturating_sub(self.window)..step {
                entries.push((step, b, None));
                entries.extend((b.saturating_sub(self.window)..b).map(|a| (step, b, Some(a))));
            }
        }
        entries
    }

    /// Weights of the anchors `(a, b)` at `step`, on the atlas's axis.
    pub fn weights(&self, step: usize, b: usize, a: usize) -> (f64, f64) {
        let time = |step: usize| match self.axis {
            TimeAxis::Step => step as f64,
            TimeAxis::Sampler => self.times[step],
        };
        let later = (time(step) - time(a)) / (time(b) - time(a));
        (1.0 - later, later)
    }

    /// Adds one run's errors, one for each of [`ErrorAtlas::entries`], to the average.
    ///
    /// # Errors
    /// [`PlanError::Shape`] when there is not one error an entry.
    pub fn add_run(&mut self, errors: &[f64]) -> Result<(), PlanError> {
        let entries = self.entries();
        if entries.len() != errors.len() {
            let (expected, found) = (vec![entries.len()], vec![errors.len()]);
            return Err(PlanError::Shape { what: "errors of one run".into(), expected, found });
        }
        let before = self.runs as f64;
        for ((step, b, a), error) in entries.into_iter().zip(errors) {
            let slot = match a {
                None => &mut self.hold[[step, step - b - 1]],
                Some(a) => &mut self.linear[[step, step - b - 1, b - a - 1]],
            };
            let sum = if self.runs == 0 { 0.0 } else { *slot * before };
            *slot = (sum + error) / (before + 1.0);
        }
        self.runs += 1;
        Ok(())
    }

    /// The squared error of the final picture from standing in for `step` by rule, from the last computed steps `b` and (where there is one) `a`.
    /// `None` where the anchors are too far away.
    pub fn error(&self, rule: ReuseRule, step: usize, b: usize, a: Option<usize>) -> Option<f64> {
        let near = step.checked_sub(b + 1).filter(|gap| *gap < self.window)?;
        let error = match (rule, a) {
            (ReuseRule::Hold, _) | (ReuseRule::Extrapolate(_), None) => self.hold[[step, near]],
            (ReuseRule::Extrapolate(_), Some(a)) => {
                let far = b.checked_sub(a + 1).filter(|gap| *gap < self.window)?;
                self.linear[[step, near, far]]
            }
        };
        error.is_finite().then_some(error * self.importance[step])
    }
}
