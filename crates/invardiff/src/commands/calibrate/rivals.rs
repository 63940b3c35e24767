//! The plan, its parts, and what a user could have done instead at the same compute.

use anyhow::Result;
use invardiff_eval::report::Group;
use invardiff_plan::{CachePlan, random_plan, uniform_gate};
use invardiff_runtime::{Denoiser, Sampler};

use super::Args;
use crate::{ClassToImage, Contender, Judged, SamplerKind, bar, compare as judge};

/// The contenders and what became of them, the full run first.
pub(super) struct Comparison {
    /// Who, and in which group of the table.
    pub(super) contenders: Vec<(Group, Contender)>,
    /// How it went, one each.
    pub(super) judged: Vec<Judged>,
    /// The classes of the pictures.
    pub(super) labels: Vec<usize>,
}

/// Pictures that are drawn in one batch.
const BATCH: usize = 5;

/// Draws held-out pictures by every contender.
pub(super) fn compare(args: &Args, full: &ClassToImage, plan: &CachePlan) -> Result<Comparison> {
    let contenders = contenders(args, full, plan)?;
    let pictures = args.pictures as usize;
    let labels: Vec<usize> =
        (0..pictures).map(|picture| picture % full.model().config().num_classes).collect();
    let first = args.seed.wrapping_add(1_000_000);
    let seeds: Vec<u64> = (0..pictures as u64).map(|picture| first.wrapping_add(picture)).collect();
    let batch = if pictures.is_multiple_of(BATCH) { BATCH } else { 1 };
    let progress = bar(contenders.len() * (pictures / batch), "comparing (batches)");
    let who: Vec<Contender> = contenders.iter().map(|(_, contender)| contender.clone()).collect();
    let judged = judge(&who, &labels, &seeds, batch, &|| progress.inc(1))?;
    progress.finish_and_clear();
    Ok(Comparison { contenders, judged, labels })
}

fn contenders(args: &Args, full: &ClassToImage, plan: &CachePlan) -> Result<Vec<(Group, Contender)>> {
    let steps = full.sampler().steps();
    let topology = full.denoiser().topology();
    let own = Contender::plan(full, "paper's rule", "step gate and modules, thresholds in two phases", plan)?;
    let compute = own.compute_fraction;
    let gate = Contender::plan(
        full,
        "gate alone",
        "the plan's skipped steps, every module computed",
        &plan.gate_alone(),
    )?;
    let modules = Contender::plan(
        full,
        "modules alone",
        "the plan's reused modules, no step skipped",
        &plan.modules_alone(),
    )?;
    let even = ((compute * steps as f64).round() as usize).clamp(1, steps);
    let uniform = CachePlan::gate_only(&topology, uniform_gate(steps, even)?);
    let random = random_plan(&topology, plan, args.seed)?;
    let mut contenders = vec![
        (Group::Reference, Contender::full(full)),
        (Group::Plan, own),
        (Group::Part, gate),
        (Group::Part, modules),
        (
            Group::OtherPlan,
            Contender::plan(
                full,
                "uniform skipping",
                &format!("{even} steps computed, spread evenly"),
                &uniform,
            )?,
        ),
        (
            Group::OtherPlan,
            Contender::plan(
                full,
                "random plan",
                "as many skips and reuses as the plan, at random places",
                &random,
            )?,
        ),
    ];
    for sampler in [SamplerKind::Ddim, SamplerKind::DpmSolverPlusPlus] {
        contenders.push((Group::FewerSteps, Contender::fewer_steps(full, sampler, compute)?));
    }
    Ok(contenders)
}
