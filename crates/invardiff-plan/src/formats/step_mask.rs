//! Step masks as other tools write them: `1,0,0,1`, 1 = compute.

use std::fmt;

use crate::core::{CachePlan, PlanError, Provenance, Topology};
use crate::formats::limits;

/// A step gate in the text form `1,0,0,1`. The text has 1 for a computed step; [`StepMask::gate`] has `true` for a skipped one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMask(Vec<bool>);

impl StepMask {
    /// The mask of a step gate `[steps]`, `true` = skipped.
    pub const fn new(gate: Vec<bool>) -> Self {
        Self(gate)
    }

    /// Reads `1,0,0,1`, with or without square brackets; `what` names the source in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`] for an entry that is not 0 or 1, [`PlanError::TooFewSteps`] for an empty mask,
    /// [`PlanError::Range`] for one of more than [`STEP_LIMIT`](crate::formats::STEP_LIMIT) steps.
    pub fn parse(text: &str, what: &str) -> Result<Self, PlanError> {
        let text = text.trim();
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).trim();
        if inner.is_empty() {
            return Err(PlanError::TooFewSteps { steps: 0, needed: 1 });
        }
        let read = |(step, entry): (usize, &str)| match entry.trim() {
            "0" => Ok(true),
            "1" => Ok(false),
            other => {
                let other: String = other.chars().take(20).collect();
                let detail =
                    format!("entry {step} of the step mask is '{other}', not 0 (reuse) or 1 (compute)");
                Err(PlanError::Format { what: what.into(), detail })
            }
        };
        limits::steps(inner.split(',').count())?;
        inner.split(',').enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The step gate `[steps]`, `true` = skipped.
    pub fn gate(&self) -> &[bool] {
        &self.0
    }

    /// The plan for a model that skips these steps and reuses no module.
    pub fn plan(&self, topology: &Topology) -> CachePlan {
        let provenance = Provenance { method: "step-mask".into(), ..Provenance::default() };
        CachePlan::gate_only(topology, self.0.clone()).with_provenance(provenance)
    }
}

impl fmt::Display for StepMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, skip) in self.0.iter().enumerate() {
            let comma = if step == 0 { "" } else { "," };
            write!(f, "{comma}{}", u8::from(!skip))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_read_and_printed() {
        for text in ["1,0,0,1", " [1, 0,0 ,1]\n"] {
            let mask = StepMask::parse(text, "--mask").unwrap();
            assert_eq!(mask.gate(), [false, true, true, false]);
            assert_eq!(mask.to_string(), "1,0,0,1");
        }
    }

    #[test]
    fn what_is_no_mask_is_refused_by_entry() {
        let message = |text: &str| StepMask::parse(text, "m.txt").unwrap_err().to_string();
        assert!(message("1,0,2").contains("m.txt: entry 2 of the step mask is '2'"));
        assert!(message("1,,0").contains("entry 1"));
        assert!(message("[]").contains("0 steps"));
        assert!(message("hello").contains("entry 0"));
    }
}
