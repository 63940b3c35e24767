//! What routers are held against: themselves uncut, and as many reuses of each kind elsewhere.

use std::sync::Arc;

use anyhow::Result;
use invardiff::Pipeline;
use invardiff_plan::CachePlan;
use invardiff_plan::methods::routers::{Routers, random_pairs, uniform_pairs};
use invardiff_report::{Group, Table};

use crate::compare::Candidate;
use crate::held_out;

/// What to judge on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    /// Held-out images.
    pub(super) images: usize,
    /// Seed of the first one.
    pub(super) seed: u64,
    /// Random plans of the same compute.
    pub(super) randoms: u64,
}

/// Draws the same held-out images in full, by the routers' plan, by its controls, and by the blend.
///
/// # Errors
/// When routers and pipeline have different steps or sites.
pub(super) fn judge<const D: usize, P: Pipeline<D>>(
    full: &P,
    routers: &Routers,
    plan: &CachePlan,
    trial: Trial,
) -> Result<Table> {
    held_out::judge(&candidates(full, routers, plan, trial)?, trial.images, trial.seed)
}

fn candidates<const D: usize, P: Pipeline<D>>(
    full: &P,
    routers: &Routers,
    plan: &CachePlan,
    trial: Trial,
) -> Result<Vec<(Group, Candidate<P>)>> {
    let per_step = plan.reused_modules() as f64 / (plan.steps() / 2).max(1) as f64;
    let what =
        format!("every second step reuses what its router says, {per_step:.1} modules a step on average");
    let own = Candidate::plan(full, "routers", &what, plan)?;
    let compute = own.compute_fraction;
    let blend = Candidate::blended(full, "routers, blended", Arc::new(routers.clone()));
    let mut all = vec![(Group::Reference, Candidate::full(full)), (Group::Plan, own), (Group::Part, blend)];
    let mut other = |name: &str, what: &str, plan: &CachePlan| {
        all.push((Group::OtherPlan, Candidate::plan(full, name, what, plan)?));
        Ok::<_, anyhow::Error>(())
    };
    if plan.reused_modules() > 0 {
        let spread = "as many reuses of each kind, spread evenly over the same steps and all layers";
        other("uniform pairs", spread, &uniform_pairs(plan)?)?;
        for seed in 0..trial.randoms {
            let places = "as many reuses of each kind, at random places in the same steps";
            other(&format!("random pairs {seed}"), places, &random_pairs(plan, seed)?)?;
        }
    }
    all.extend(held_out::untrained(full, compute)?);
    Ok(all)
}
