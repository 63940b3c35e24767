//! Fitting a plan into a memory budget.

use crate::core::error::PlanError;
use crate::core::plan::CachePlan;
use crate::core::schedule::Schedule;
use crate::core::topology::Topology;

/// A plan that fits into a memory budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The plan, with some reused modules computed instead.
    pub plan: CachePlan,
    /// The number of reuses that were given up.
    pub dropped: usize,
    /// The FLOPs per image that are computed because of it.
    pub lost_flops: f64,
    /// The peak of the bytes that its schedule keeps.
    pub peak_bytes: usize,
}

/// One kept feature: where it is, from which step, and who reads it.
struct Kept {
    slot: usize,
    readers: Vec<usize>,
}

/// Gives up reuses of modules until the plan's schedule keeps at most `budget` bytes. `bytes_of` returns the peak bytes of a
/// schedule, for a batch size and a precision ([`Schedule::peak_bytes`]).
///
/// Greedy: of the features that are kept at the step with the peak, the one that saves the fewest FLOPs per byte is given up
/// together with every reuse that reads it; then the plan is scheduled again. The step gate stays as it is.
///
/// # Errors
/// [`PlanError::Range`] when the step gate alone keeps more than `budget` bytes; otherwise as [`CachePlan::schedule`].
pub fn fit_to_budget(
    plan: &CachePlan,
    topology: &Topology,
    budget: usize,
    bytes_of: impl Fn(&Schedule) -> usize,
) -> Result<Fitted, PlanError> {
    let columns = plan.columns(topology)?;
    let mut fitted = Fitted { plan: plan.clone(), dropped: 0, lost_flops: 0.0, peak_bytes: 0 };
    loop {
        let schedule = fitted.plan.schedule(topology)?;
        fitted.peak_bytes = bytes_of(&schedule);
        if fitted.peak_bytes <= budget {
            return Ok(fitted);
        }
        let fullest = schedule.step_peak_elements().iter().enumerate().max_by_key(|(_, held)| **held);
        let step = fullest.map_or(0, |(step, _)| step);
        let worth = |kept: &Kept| {
            let spec = &topology.sites[kept.slot - 1];
            kept.readers.len() as f64 * spec.flops / spec.elements().max(1) as f64
        };
        let candidates = (1..schedule.slots().len()).flat_map(|slot| kept_at(&schedule, slot, step));
        let Some(least) = candidates.min_by(|one, other| worth(one).total_cmp(&worth(other))) else {
            return Err(PlanError::Range {
                what: "the cache budget".into(),
                value: format!("{budget} bytes"),
                expected: format!("at least the {} bytes that the skipped steps need", fitted.peak_bytes),
            });
        };
        for reader in &least.readers {
            fitted.plan.compute(*reader, columns[least.slot - 1]);
            fitted.dropped += 1;
            fitted.lost_flops += topology.sites[least.slot - 1].flops;
        }
    }
}

/// The features of a slot that are in the store at some moment of `step`.
fn kept_at(schedule: &Schedule, slot: usize, step: usize) -> Vec<Kept> {
    let readers_of = |kept: usize| -> Vec<usize> {
        let reads = |reader: &usize| {
            schedule.action(*reader, slot).sources().iter().any(|source| source.step == kept)
        };
        (kept + 1..schedule.steps()).filter(reads).collect()
    };
    (0..=step)
        .filter(|kept| schedule.action(*kept, slot).keeps())
        .map(|kept| Kept { slot, readers: readers_of(kept) })
        .filter(|kept| kept.readers.last().is_some_and(|last| *last >= step))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cost::Cost;
    use crate::core::site::Site;
    use crate::core::topology::SiteSpec;
    use crate::methods::baseline::uniform_gate;

    fn topology() -> Topology {
        let spec = |site, flops| SiteSpec::single(site, 4, 2, flops);
        Topology {
            model: "toy".into(),
            sites: vec![spec(Site::msa(0), 1.0), spec(Site::mlp(0), 5.0), spec(Site::msa(1), 2.0)],
            trunk: spec(Site::TRUNK, 0.0),
            head_flops: 1.0,
            output_elements: 8,
        }
    }

    fn plan() -> CachePlan {
        let mut plan = CachePlan::gate_only(&topology(), uniform_gate(8, 6).unwrap());
        let gate = plan.gate().to_vec();
        for step in (1..8).filter(|step| !gate[*step] && !gate[step - 1]) {
            for column in 0..3 {
                plan.reuse_module(step, column);
            }
        }
        plan
    }

    #[test]
    fn what_saves_least_for_its_bytes_is_given_up_first() {
        let (topology, plan) = (topology(), plan());
        let bytes = |schedule: &Schedule| schedule.peak_bytes(1, 4);
        let full = bytes(&plan.schedule(&topology).unwrap());
        let same = fit_to_budget(&plan, &topology, full, bytes).unwrap();
        assert_eq!((same.plan, same.dropped), (plan.clone(), 0));
        let mut before = Cost::of(&plan, &topology).unwrap().planned;
        for budget in (0..full).rev().step_by(32).take_while(|budget| *budget >= 32) {
            let fitted = fit_to_budget(&plan, &topology, budget, bytes).unwrap();
            let cost = Cost::of(&fitted.plan, &topology).unwrap().planned;
            assert!(fitted.peak_bytes <= budget && fitted.dropped > 0);
            assert!((cost - Cost::of(&plan, &topology).unwrap().planned - fitted.lost_flops).abs() < 1e-9);
            assert!(cost >= before, "a smaller budget cannot save more");
            assert_eq!(fitted.plan.gate(), plan.gate());
            before = cost;
        }
        // One feature of 8 elements too many: the cheap attention goes, the mlp stays.
        let fitted = fit_to_budget(&plan, &topology, full - 1, bytes).unwrap();
        assert_eq!(
            fitted.plan.of_kind(crate::core::site::Kind::MLP),
            plan.of_kind(crate::core::site::Kind::MLP)
        );
    }

    #[test]
    fn a_budget_below_the_gate_is_refused() {
        let (topology, plan) = (topology(), plan());
        let error = fit_to_budget(&plan, &topology, 1, |schedule| schedule.peak_bytes(1, 4)).unwrap_err();
        assert!(error.to_string().contains("32 bytes"), "{error}");
    }
}
