//! FORA (arXiv 2407.01425): all modules of every step but each n-th are reused.

use ndarray::Array2;

use crate::core::{CachePlan, PlanError, Provenance, Site, Topology};

/// The settings of FORA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fora {
    /// Steps from one computed step to the next. The authors use 3; 2 to 7 are common.
    pub interval: usize,
}

impl Fora {
    /// The plan for a model: every module is computed at the first step and at those whose number counted down from the
    /// end (`steps - 1` first, 0 last) is a multiple of the interval, and reused at all others. The last step is always
    /// computed.
    ///
    /// As the authors' DiT code counts; the schedule of FORA that SmoothCache ships counts up from the first step. No step
    /// is skipped whole: gates, modulations and residual sums are fresh, as in the original.
    ///
    /// # Errors
    /// [`PlanError::Range`] for an interval of 0, [`PlanError::TooFewSteps`] without steps.
    pub fn plan(&self, topology: &Topology, steps: usize) -> Result<CachePlan, PlanError> {
        let interval = self.interval;
        if interval == 0 {
            let (what, expected) = ("the interval of FORA".into(), "at least 1 step".into());
            return Err(PlanError::Range { what, value: "0".into(), expected });
        }
        let computed = |step: usize| step == 0 || (steps - 1 - step).is_multiple_of(interval);
        every_module(topology, steps, computed, format!("fora-{interval}"))
    }
}

/// A plan that computes all modules at some steps and reuses all of them at the others.
pub(crate) fn every_module(
    topology: &Topology,
    steps: usize,
    computed: impl Fn(usize) -> bool,
    method: String,
) -> Result<CachePlan, PlanError> {
    let sites: Vec<Site> = topology.sites.iter().map(|spec| spec.site).collect();
    let reuse = Array2::from_shape_fn((steps, sites.len()), |(step, _)| !computed(step));
    let provenance = Provenance { method, ..Provenance::default() };
    Ok(CachePlan::new(sites, vec![false; steps], reuse)?.with_provenance(provenance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(steps: usize, interval: usize) -> String {
        let plan = Fora { interval }.plan(&Topology::named("dit-s-2-256").unwrap(), steps).unwrap();
        assert_eq!(plan.skipped_steps(), 0);
        let row = |step: usize| {
            let row = plan.reuse().row(step);
            assert!(row.iter().all(|entry| *entry == row[0]), "all modules are alike");
            if row[0] { '#' } else { '.' }
        };
        (0..steps).map(row).collect()
    }

    /// Counted down from 9, the multiples of 3 are steps 0, 3, 6 and 9; from 7, they are steps 1, 4 and 7.
    #[test]
    fn steps_are_counted_from_the_end() {
        assert_eq!(drawn(10, 3), ".##.##.##.");
        assert_eq!(drawn(8, 3), "..##.##.");
        assert_eq!(drawn(5, 1), ".....");
        assert_eq!(drawn(6, 9), ".####.");
    }

    #[test]
    fn nonsense_is_refused() {
        let topology = Topology::named("dit-s-2-256").unwrap();
        assert!(
            Fora { interval: 0 }
                .plan(&topology, 5)
                .unwrap_err()
                .to_string()
                .contains("interval of FORA is 0")
        );
        assert!(matches!(Fora { interval: 2 }.plan(&topology, 0), Err(PlanError::TooFewSteps { .. })));
    }
}
