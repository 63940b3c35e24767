//! What routers are compared with: themselves uncut, and as many reuses of each kind elsewhere.

use std::sync::Arc;

use invardiff::Pipeline;
use invardiff_plan::CachePlan;
use invardiff_plan::methods::routers::{Routers, random_pairs, uniform_pairs};
use invardiff_report::{Group, Table};
use invardiff_runtime::Progress;

use crate::compare::Candidate;
use crate::error::{Error, Result};
use crate::held_out;

/// The images and the random plans that routers are compared on.
#[derive(Clone, Copy, Debug)]
pub struct Controls {
    /// Held-out images.
    pub images: usize,
    /// Seed of the calibration; images are of seeds [`HELD_OUT`](crate::held_out::HELD_OUT) above it.
    pub seed: u64,
    /// Random plans of the same compute.
    pub randoms: u64,
}

/// Draws the same held-out images in full, by the routers' plan, by its controls, and by the blend.
///
/// # Errors
/// When routers and pipeline have different steps or sites.
pub fn evaluate<const D: usize, P: Pipeline<D>>(
    full: &P,
    routers: &Routers,
    plan: &CachePlan,
    controls: Controls,
    progress: &dyn Progress,
) -> Result<Table> {
    held_out::evaluate(&candidates(full, routers, plan, controls)?, controls.images, controls.seed, progress)
}

fn candidates<const D: usize, P: Pipeline<D>>(
    full: &P,
    routers: &Routers,
    plan: &CachePlan,
    controls: Controls,
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
        Ok::<_, Error>(())
    };
    if plan.reused_modules() > 0 {
        let spread = "as many reuses of each kind, spread evenly over the same steps and all layers";
        other("uniform pairs", spread, &uniform_pairs(plan)?)?;
        for seed in 0..controls.randoms {
            let places = "as many reuses of each kind, at random places in the same steps";
            other(&format!("random pairs {seed}"), places, &random_pairs(plan, seed)?)?;
        }
    }
    all.extend(held_out::untrained(full, compute)?);
    Ok(all)
}
