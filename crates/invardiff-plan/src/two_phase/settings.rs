//! The settings of a two-phase calibration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::{Kind, PlanError, Threshold};
use crate::two_phase::masks::ReuseMasks;
use crate::two_phase::quantile::quantile;
use crate::two_phase::rates::RateTable;
use crate::two_phase::variant::Variant;

/// The settings of a two-phase calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which of the authors' scripts to follow.
    pub variant: Variant,
    /// The quantile of the trunk's change rates below which steps are skipped, in `[0, 1]`; 0 skips no step.
    pub gate_quantile: f64,
    /// For every stream of the model, the quantile of its change rates (all layers pooled) below which it is reused, in
    /// `[0, 1]`; 0 reuses nothing.
    pub quantiles: BTreeMap<Kind, f64>,
    /// The number of steps at the start that are always computed.
    pub warm_up: WarmUp,
    /// Whether the rates of the first phase are corrected by a second one.
    pub phases: Phases,
}

/// The number of steps at the start that are always computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmUp {
    /// This share of all steps, in `[0, 1]`, truncated, but at least one step: the authors' `nonskip-rate`.
    Rate(f64),
    /// This many steps. 0 is taken as 1, because the first step has nothing to reuse.
    Steps(usize),
}

impl WarmUp {
    /// The number of steps, at least 1 and at most `steps`.
    ///
    /// A rate is multiplied in float64 and truncated, as in the authors' published code: 0.29 of 100 steps are 28.
    ///
    /// # Errors
    /// [`PlanError::Range`] when a rate lies outside of `[0, 1]`.
    pub fn rows(self, steps: usize) -> Result<usize, PlanError> {
        let rows = match self {
            Self::Steps(rows) => rows,
            Self::Rate(rate) if (0.0..=1.0).contains(&rate) => (rate * steps as f64) as usize,
            Self::Rate(rate) => {
                return Err(PlanError::Range {
                    what: "the warm-up rate".into(),
                    value: rate.to_string(),
                    expected: "a number from 0 to 1".into(),
                });
            }
        };
        Ok(rows.max(1).min(steps))
    }
}

/// The number of phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phases {
    /// Only the first phase: the paper's ablation without re-sampling correction.
    One,
    /// Both phases: the second corrects the rates under the provisional masks of the first.
    #[default]
    Two,
}

impl Settings {
    /// The thresholds of the gate and of each stream: quantiles of the rates of all steps but the first and the last, with
    /// the layers of a stream pooled. Rows that a guard overwrites later are included, as in the authors' published code.
    ///
    /// # Errors
    /// [`PlanError::MissingKind`] when a stream has no quantile, or a quantile has no stream; [`PlanError::Range`] as
    /// [`quantile`], naming the stream.
    pub fn thresholds(&self, rates: &RateTable) -> Result<Vec<Threshold>, PlanError> {
        if let Some(kind) = self.quantiles.keys().find(|kind| rates.stream(**kind).is_none()) {
            let what = "the calibration's streams, yet it was given a quantile".into();
            return Err(PlanError::MissingKind { kind: *kind, what });
        }
        let inner = rates.steps() - 2;
        let trunk = rates.trunk().iter().skip(1).take(inner).copied().collect();
        let mut thresholds = vec![self.threshold(Kind::TRUNK, self.gate_quantile, trunk)?];
        for (kind, table) in rates.streams() {
            let q = self.quantiles.get(kind).ok_or_else(|| PlanError::MissingKind {
                kind: *kind,
                what: "the quantiles; give it one (0 reuses nothing)".into(),
            })?;
            let population = table.outer_iter().skip(1).take(inner).flat_map(|row| row.to_vec()).collect();
            thresholds.push(self.threshold(*kind, *q, population)?);
        }
        Ok(thresholds)
    }

    /// The masks between the phases: rates below their thresholds, with the guards that the variant has at this point.
    ///
    /// # Errors
    /// As [`RateTable::below`] and [`WarmUp::rows`].
    pub fn provisional_masks(
        &self,
        rates: &RateTable,
        thresholds: &[Threshold],
    ) -> Result<ReuseMasks, PlanError> {
        let rows = self.warm_up.rows(rates.steps())?;
        let masks = rates.below(thresholds)?.protected(rows, self.variant.provisional_module_rows(rows));
        Ok(if self.variant.writes_provisional_gate() { masks.with_gate_written() } else { masks })
    }

    /// The final masks: rates below their thresholds, the warm-up and the last step computed, the gate written into the
    /// streams. Alike in all variants.
    ///
    /// # Errors
    /// As [`RateTable::below`] and [`WarmUp::rows`].
    pub fn final_masks(&self, rates: &RateTable, thresholds: &[Threshold]) -> Result<ReuseMasks, PlanError> {
        let rows = self.warm_up.rows(rates.steps())?;
        Ok(rates.below(thresholds)?.protected(rows, rows).with_gate_written())
    }

    fn threshold(&self, kind: Kind, q: f64, mut population: Vec<f32>) -> Result<Threshold, PlanError> {
        if self.variant.skips_nan() {
            population.retain(|rate| !rate.is_nan());
        }
        let value = quantile(&population, q).map_err(|error| match error {
            PlanError::Range { what, value, expected } => {
                PlanError::Range { what: format!("{what} (the change rates of {kind})"), value, expected }
            }
            other => other,
        })?;
        Ok(Threshold { kind, quantile: q, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_truncates_and_keeps_one_step() {
        let cases = [(0.0, 50, 1), (0.1, 28, 2), (0.22, 28, 6), (0.29, 100, 28), (1.0, 7, 7)];
        for (rate, steps, rows) in cases {
            assert_eq!(WarmUp::Rate(rate).rows(steps).unwrap(), rows, "{rate} of {steps}");
        }
        assert_eq!(WarmUp::Steps(0).rows(5).unwrap(), 1);
        assert_eq!(WarmUp::Steps(9).rows(5).unwrap(), 5);
        for rate in [-0.1, 1.1, f64::NAN] {
            let error = WarmUp::Rate(rate).rows(5).unwrap_err();
            assert!(error.to_string().contains("the warm-up rate"), "{error}");
        }
    }

    #[test]
    fn settings_survive_json() {
        let settings = Settings {
            variant: Variant::Flux,
            gate_quantile: 0.7,
            quantiles: BTreeMap::from([(Kind::ATTN, 0.68), (Kind::FF, 0.3)]),
            warm_up: WarmUp::Rate(0.1),
            phases: Phases::Two,
        };
        let json = serde_json::to_string(&settings).unwrap();
        assert!(json.contains(r#""variant":"flux""#), "{json}");
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    }
}
