//! Pictures that nothing was calibrated or trained on, drawn by all contenders.

use anyhow::Result;
use invardiff::Pipeline;
use invardiff_plan::CachePlan;
use invardiff_plan::methods::baseline::uniform_gate;
use invardiff_report::{Group, Row, Table};
use invardiff_runtime::{Denoiser, Sampler};

use crate::{Contender, Judged, Pictures, bar, compare};

/// How far held-out seeds are from those of a calibration.
const FIRST: u64 = 1_000_000;
/// How far the seeds of drawn examples are.
#[cfg(feature = "autodiff")]
pub(crate) const EXAMPLES: u64 = 3_000_000;
/// How far the seeds of the trajectories are that scale-shift vectors are trained on.
#[cfg(feature = "autodiff")]
pub(crate) const TRAJECTORIES: u64 = 5_000_000;

/// Draws `pictures` of all subjects in turn by every contender, from the seeds that the table of `calibrate` takes for the
/// same `seed`.
///
/// # Errors
/// When a contender cannot run.
pub fn judge<const D: usize, P: Pipeline<D>>(
    contenders: &[(Group, Contender<P>)],
    pictures: usize,
    seed: u64,
) -> Result<Table> {
    let Some((_, full)) = contenders.first() else { return Ok(Table::default()) };
    let subjects: Vec<P::Subject> = (0..pictures).map(|picture| full.pipeline.subject(picture)).collect();
    let seeds: Vec<u64> = (0..pictures as u64).map(|picture| seed.wrapping_add(FIRST + picture)).collect();
    let usual = full.pipeline.usual_batch();
    let batch = if pictures.is_multiple_of(usual) { usual } else { 1 };
    let wanted = Pictures { subjects: &subjects, seeds: &seeds, batch };
    let progress = bar(contenders.len() * (pictures / batch), "comparing (batches)");
    let who: Vec<Contender<P>> = contenders.iter().map(|(_, contender)| contender.clone()).collect();
    let judged = compare(&who, &wanted, None, &|| progress.inc(1))?;
    progress.finish_and_clear();
    Ok(table(contenders, &judged))
}

/// The table of what became of contenders, one each.
pub fn table<P>(contenders: &[(Group, Contender<P>)], judged: &[Judged]) -> Table {
    let row = |((group, contender), judged): (&(Group, Contender<P>), &Judged)| Row {
        name: contender.name.clone(),
        description: contender.description.clone(),
        group: *group,
        compute_fraction: judged.compute_fraction,
        predicted_speedup: Some(1.0 / judged.compute_fraction),
        measured_speedup: Some(judged.speedup),
        cpu_speedup: judged.cpu_speedup,
        quality: judged.quality,
        converged: judged.converged,
        peak_cache_bytes: Some(judged.peak_bytes_per_picture as u64),
    };
    Table { rows: contenders.iter().zip(judged).map(row).collect() }
}

/// What a user could do without measuring anything, as near to `compute_fraction` of the full run as whole steps allow: skip
/// steps evenly, and take fewer of them.
///
/// # Errors
/// When the sampler cannot have so few steps.
pub fn untrained<const D: usize, P: Pipeline<D>>(
    full: &P,
    compute_fraction: f64,
) -> Result<Vec<(Group, Contender<P>)>> {
    let steps = full.sampler().steps();
    let computed = ((compute_fraction * steps as f64).round() as usize).clamp(1, steps);
    let gate = CachePlan::gate_only(&full.denoiser().topology(), uniform_gate(steps, computed)?);
    let spread = format!("{computed} of {steps} steps computed, spread evenly, the others skipped whole");
    let mut all = vec![(Group::OtherPlan, Contender::plan(full, "uniform skipping", &spread, &gate)?)];
    for solver in full.solvers() {
        all.push((Group::FewerSteps, Contender::fewer_steps(full, *solver, compute_fraction)?));
    }
    Ok(all)
}
