//! Weights from inner products alone, without the model.

use crate::core::{
    CachePlan, FitRecord, GateSite, OutputForm, PlanError, Provenance, ReuseRule, Site, TimeGrid, TimePoint,
    WeightRow,
};
use crate::fitted::gram::GramAtlas;
use crate::fitted::least_squares::ridge_weights;

/// Weights that were fitted on the target trajectories themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenFit {
    /// A row an evaluation.
    pub rows: Vec<WeightRow>,
    /// What each step leaves: root mean square over elements and conditions.
    pub residuals: Vec<f64>,
}

/// DPM-Solver++ 2M over any noise levels, as weights of the last two clean samples (midpoint form); the first and the last
/// step, and the one after pure noise, are of first order.
pub fn solver_rows(points: &[TimePoint]) -> Vec<WeightRow> {
    let time = |step: usize| (points[step].alpha / points[step].sigma).ln();
    let row = |step: usize| {
        if step == 0 || step + 1 == points.len() || points[step - 1].alpha <= 0.0 {
            return WeightRow { kept: vec![1.0], sample: 0.0 };
        }
        let change = 0.5 * (time(step + 1) - time(step)) / (time(step) - time(step - 1));
        WeightRow { kept: vec![1.0 + change, -change], sample: 0.0 }
    };
    (0..points.len()).map(row).collect()
}

impl GramAtlas {
    /// Weights of up to `outputs` outputs for evaluations at some of the candidate points (rising, the first among them), each step
    /// fitted from the target's own sample, drawn to DPM-Solver++'s weights by `ridge`.
    ///
    /// A run drifts from the target and then needs other weights: a fit on the run's own trajectory (`Session::fitted` of
    /// `invardiff-calib`), which needs the model, is nearer.
    ///
    /// # Errors
    /// [`PlanError::Range`] for points that do not rise from the first, or that there are not.
    pub fn open_fit(&self, points: &[usize], outputs: usize, ridge: f64) -> Result<OpenFit, PlanError> {
        self.check()?;
        let good = points.first() == Some(&0)
            && points.is_sorted_by(|a, b| a < b)
            && points.last().is_some_and(|last| *last < self.points());
        if !good {
            return Err(PlanError::Range {
                what: "the evaluated points".into(),
                value: format!("{points:?}"),
                expected: format!("rising numbers from 0 to {}", self.points() - 1),
            });
        }
        let prior = solver_rows(&self.chosen(points).points);
        let step = |step: usize| {
            let first = (step + 1).saturating_sub(outputs.max(1));
            let anchors: Vec<usize> = points[first..=step].iter().rev().copied().collect();
            let next = points.get(step + 1).copied().unwrap_or(self.points());
            self.open_row(&anchors, next, &prior[step], ridge)
        };
        let (rows, residuals) = (0..points.len()).map(step).unzip();
        Ok(OpenFit { rows, residuals })
    }

    /// The plan of [`GramAtlas::open_fit`], for a run of `instead_of` steps.
    ///
    /// # Errors
    /// As [`GramAtlas::open_fit`].
    pub fn plan(
        &self,
        points: &[usize],
        outputs: usize,
        ridge: f64,
        instead_of: usize,
    ) -> Result<CachePlan, PlanError> {
        let OpenFit { rows, residuals } = self.open_fit(points, outputs, ridge)?;
        let record = FitRecord {
            target: self.target,
            target_steps: self.target_steps,
            fitted_on: self.conditions.len(),
            chosen_on: 0,
            ridge,
            residuals,
        };
        let (method, thresholds) = ("fitted without the model".into(), Vec::new());
        let plan = CachePlan::empty(&self.topology, rows.len())
            .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Hold)
            .with_weights(Site::OUTPUT, rows)?
            .with_grid(TimeGrid { instead_of, ..self.chosen(points) })?
            .with_fit(record)?;
        Ok(plan.with_provenance(Provenance { method, thresholds, ..self.provenance.clone() }))
    }

    fn chosen(&self, points: &[usize]) -> TimeGrid {
        let TimeGrid { instead_of, points: all } = &self.candidates;
        TimeGrid { instead_of: *instead_of, points: points.iter().map(|point| all[*point]).collect() }
    }

    /// The weights of the outputs at `anchors`, the newest first, for the step from the first of them to `next`; and what is left.
    fn open_row(&self, anchors: &[usize], next: usize, prior: &WeightRow, ridge: f64) -> (WeightRow, f64) {
        let (here, n) = (anchors[0], anchors.len());
        let (from, to) = (self.level(here), self.level(next));
        let ratio = to.1 / from.1;
        let weight = to.0 - from.0 * ratio;
        let (mut m, mut h, mut y) = (vec![0.0; n * n], vec![0.0; n], 0.0);
        for (index, gram) in self.conditions.iter().enumerate() {
            for (i, anchor) in anchors.iter().enumerate() {
                h[i] +=
                    (self.cross(index, *anchor, next) - ratio * self.cross(index, *anchor, here)) / weight;
                for (j, other) in anchors.iter().enumerate() {
                    m[i * n + j] += gram.output(*anchor, *other);
                }
            }
            let squares = gram.state(next, next) - 2.0 * ratio * gram.state(next, here)
                + ratio * ratio * gram.state(here, here);
            y += squares / (weight * weight);
        }
        let mut towards = vec![0.0; n];
        towards.iter_mut().zip(&prior.kept).for_each(|(slot, weight)| *slot = *weight);
        let kept = ridge_weights(&m, &h, &towards, ridge);
        let quadratic: f64 = (0..n * n).map(|at| kept[at / n] * m[at] * kept[at % n]).sum();
        let linear: f64 = kept.iter().zip(&h).map(|(weight, h)| weight * h).sum();
        let left = (y - 2.0 * linear + quadratic).max(0.0) / (self.elements * self.conditions.len()) as f64;
        (WeightRow { kept, sample: 0.0 }, weight.abs() * left.sqrt())
    }
}
