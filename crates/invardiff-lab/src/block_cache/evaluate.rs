//! What a plan with adjusted reuse is compared with: the plan without, and what needs no plan.

use invardiff::Pipeline;
use invardiff_plan::CachePlan;
use invardiff_report::{Group, Table};
use invardiff_runtime::{Progress, ScaleShift};

use crate::compare::Candidate;
use crate::error::Result;
use crate::held_out;

/// Draws the same held-out images in full, by the plan with and without its adjustment, and by what needs no plan.
///
/// # Errors
/// When a candidate cannot run.
pub fn evaluate<const D: usize, P: Pipeline<D>>(
    full: &P,
    plan: &CachePlan,
    adjustment: ScaleShift,
    images: usize,
    seed: u64,
    progress: &dyn Progress,
) -> Result<Table> {
    let what = "reused modules go through trained scales and shifts";
    let adjusted = Candidate::plan(full, "adjusted", what, plan)?.adjusted(adjustment);
    let compute = adjusted.compute_fraction;
    let plain = Candidate::plan(full, "unadjusted", "the same plan, modules held as they are", plan)?;
    let mut candidates =
        vec![(Group::Reference, Candidate::full(full)), (Group::Plan, adjusted), (Group::Part, plain)];
    candidates.extend(held_out::untrained(full, compute)?);
    held_out::evaluate(&candidates, images, seed, progress)
}
