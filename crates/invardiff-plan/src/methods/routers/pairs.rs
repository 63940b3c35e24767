//! Pairs of steps, and baseline plans over them.

use crate::core::{CachePlan, Kind, PlanError, SplitMix64};

/// The role of a step in a trajectory of pairs.
///
/// The first step of a pair computes everything, the second may reuse what the first one computed. Nothing is kept beyond its
/// pair. (In the published code, indices count down: odd ones compute.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairedStep {
    /// The first step of a pair: everything is computed.
    Full,
    /// The second step of a pair: the router of this row decides.
    Routed(usize),
}

impl PairedStep {
    /// The role of `step` (sampling order).
    pub const fn of(step: usize) -> Self {
        if step.is_multiple_of(2) { Self::Full } else { Self::Routed(step / 2) }
    }
}

/// A plan over pairs of steps that reuses as many modules of each kind as `like`, at random places drawn from `seed`. Trained
/// routers have to beat it, because it costs exactly the same.
///
/// # Errors
/// [`PlanError::Range`] for a plan with an odd number of steps, or one that reuses or skips in the first step of a pair.
pub fn random_pairs(like: &CachePlan, seed: u64) -> Result<CachePlan, PlanError> {
    let mut draw = SplitMix64::seeded(seed);
    let drawn = rearrange(like, |places, count| {
        let mut left: Vec<usize> = (0..places).collect();
        (0..count).map(|_| left.swap_remove(draw.below(left.len()))).collect()
    })?;
    Ok(named(drawn, format!("random-pairs-{seed}")))
}

/// As [`random_pairs`], with the reuses of each kind spread evenly over routed steps and layers.
///
/// # Errors
/// As [`random_pairs`].
pub fn uniform_pairs(like: &CachePlan) -> Result<CachePlan, PlanError> {
    let spread = rearrange(like, |places, count| (0..count).map(|index| index * places / count).collect())?;
    Ok(named(spread, "uniform-pairs".into()))
}

/// The plan with its reuses of each kind moved to other places. `choose(places, count)` returns `count` of the places of a
/// kind, which are numbered by routed step, then by layer.
fn rearrange(
    like: &CachePlan,
    mut choose: impl FnMut(usize, usize) -> Vec<usize>,
) -> Result<CachePlan, PlanError> {
    let pairs = pairs_of(like.steps())?;
    for step in 0..like.steps() {
        let fixed = like.gate()[step]
            || (PairedStep::of(step) == PairedStep::Full
                && like.reuse().row(step).iter().any(|reused| *reused));
        if fixed {
            return Err(PlanError::Range {
                what: "a plan over pairs of steps".into(),
                value: format!("skipping or reusing at step {step}"),
                expected: "reuse of modules in the second step of a pair only".into(),
            });
        }
    }
    let mut kinds: Vec<Kind> = like.sites().iter().map(|site| site.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut reuse = ndarray::Array2::from_elem(like.reuse().dim(), false);
    for kind in kinds {
        let columns: Vec<usize> =
            (0..like.sites().len()).filter(|column| like.sites()[*column].kind == kind).collect();
        let count =
            columns.iter().map(|column| like.reuse().column(*column).iter().filter(|entry| **entry).count());
        let count = count.sum();
        for place in choose(pairs * columns.len(), count) {
            reuse[[2 * (place / columns.len()) + 1, columns[place % columns.len()]]] = true;
        }
    }
    CachePlan::new(like.sites().to_vec(), vec![false; like.steps()], reuse)
}

fn named(mut plan: CachePlan, method: String) -> CachePlan {
    plan.provenance.method = method;
    plan
}

/// The number of pairs in `steps` steps.
///
/// # Errors
/// [`PlanError::Range`] for a number of steps that is odd or 0.
pub fn pairs_of(steps: usize) -> Result<usize, PlanError> {
    if steps == 0 || !steps.is_multiple_of(2) {
        return Err(PlanError::Range {
            what: "num_inference_steps".into(),
            value: steps.to_string(),
            expected: "an even number from 2 on: routers work on pairs of steps".into(),
        });
    }
    Ok(steps / 2)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ndarray::Array2;

    use super::*;
    use crate::core::{Cost, Site, Topology};

    fn like() -> CachePlan {
        let sites: Vec<Site> =
            Topology::named("dit-s-2-256").unwrap().sites.iter().map(|spec| spec.site).collect();
        let reuse = Array2::from_shape_fn((8, sites.len()), |(step, column)| {
            step % 2 == 1 && (column * 5 + step) % 3 == 0
        });
        CachePlan::new(sites, vec![false; 8], reuse).unwrap()
    }

    #[test]
    fn controls_cost_what_the_plan_costs() {
        let topology = Topology::named("dit-s-2-256").unwrap();
        let cost = |plan: &CachePlan| Cost::of(plan, &topology).unwrap();
        let plans: Vec<CachePlan> = (0..20).map(|seed| random_pairs(&like(), seed).unwrap()).collect();
        for plan in plans.iter().chain(&[uniform_pairs(&like()).unwrap()]) {
            assert_eq!(cost(plan), cost(&like()));
            plan.schedule(&topology).unwrap();
            assert!((0..8).step_by(2).all(|step| plan.reuse().row(step).iter().all(|entry| !entry)));
        }
        let different: HashSet<Vec<bool>> =
            plans.iter().map(|plan| plan.reuse().iter().copied().collect()).collect();
        assert_eq!(different.len(), 20);
        assert_eq!(plans[3], random_pairs(&like(), 3).unwrap());
    }

    #[test]
    fn plans_of_another_form_are_refused() {
        let sites = || like().sites().to_vec();
        let mut early = Array2::from_elem((8, sites().len()), false);
        early[[2, 0]] = true;
        let early = CachePlan::new(sites(), vec![false; 8], early).unwrap();
        assert!(uniform_pairs(&early).unwrap_err().to_string().contains("step 2"));
        let odd =
            CachePlan::new(sites(), vec![false; 7], Array2::from_elem((7, sites().len()), false)).unwrap();
        assert!(random_pairs(&odd, 0).is_err());
    }
}
