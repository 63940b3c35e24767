//! Images that nothing was calibrated or trained on, drawn by all candidates.

use invardiff::Pipeline;
use invardiff_plan::CachePlan;
use invardiff_plan::methods::baseline::uniform_gate;
use invardiff_report::{Group, Row, Table};
use invardiff_runtime::{Denoiser, Phase, Progress, Sampler};

use crate::compare;
use crate::compare::{Candidate, Evaluation, Images};
use crate::error::Result;

/// Offset of held-out seeds from those of a calibration.
pub const HELD_OUT: u64 = 1_000_000;
/// Offset of the seeds of drawn examples.
#[cfg(feature = "autodiff")]
pub(crate) const EXAMPLES: u64 = 3_000_000;
/// Offset of the seeds of trajectories on which scale-shift vectors are trained.
#[cfg(feature = "autodiff")]
pub(crate) const TRAJECTORIES: u64 = 5_000_000;

/// Draws `images` of all subjects in turn by every candidate, from the seeds that the table of `calibrate` takes for the
/// same `seed`.
///
/// # Errors
/// When a candidate cannot run.
pub fn evaluate<const D: usize, P: Pipeline<D>>(
    candidates: &[(Group, Candidate<P>)],
    images: usize,
    seed: u64,
    progress: &dyn Progress,
) -> Result<Table> {
    let Some((_, full)) = candidates.first() else { return Ok(Table::default()) };
    let subjects: Vec<P::Subject> = (0..images).map(|image| full.pipeline.subject(image)).collect();
    let seeds: Vec<u64> = (0..images as u64).map(|image| seed.wrapping_add(HELD_OUT + image)).collect();
    let usual = full.pipeline.default_batch();
    let batch = if images.is_multiple_of(usual) { usual } else { 1 };
    let wanted = Images { subjects: &subjects, seeds: &seeds, batch };
    let phase = Phase::begin(progress, "comparing (batches)", candidates.len() * (images / batch));
    let who: Vec<Candidate<P>> = candidates.iter().map(|(_, candidate)| candidate.clone()).collect();
    let evaluated = compare(&who, &wanted, None, &|| phase.advance(1))?;
    Ok(table(candidates, &evaluated))
}

/// The table of results, one row per candidate.
pub fn table<P>(candidates: &[(Group, Candidate<P>)], evaluated: &[Evaluation]) -> Table {
    let row = |((group, candidate), evaluated): (&(Group, Candidate<P>), &Evaluation)| Row {
        name: candidate.name.clone(),
        description: candidate.description.clone(),
        group: *group,
        compute_fraction: evaluated.compute_fraction,
        predicted_speedup: Some(1.0 / evaluated.compute_fraction),
        measured_speedup: Some(evaluated.speedup),
        cpu_speedup: evaluated.cpu_speedup,
        quality: evaluated.quality,
        converged: evaluated.converged,
        peak_cache_bytes: Some(evaluated.peak_bytes_per_image as u64),
    };
    Table { rows: candidates.iter().zip(evaluated).map(row).collect() }
}

/// Baselines that need no calibration, as near to `compute_fraction` of the full run as whole steps allow: evenly skipped
/// steps, and fewer steps of the samplers.
///
/// # Errors
/// When the sampler cannot have so few steps.
pub fn untrained<const D: usize, P: Pipeline<D>>(
    full: &P,
    compute_fraction: f64,
) -> Result<Vec<(Group, Candidate<P>)>> {
    let steps = full.sampler().steps();
    let computed = ((compute_fraction * steps as f64).round() as usize).clamp(1, steps);
    let gate = CachePlan::gate_only(&full.denoiser().topology(), uniform_gate(steps, computed)?);
    let spread = format!("{computed} of {steps} steps computed, spread evenly, the others skipped whole");
    let mut all = vec![(Group::OtherPlan, Candidate::plan(full, "uniform skipping", &spread, &gate)?)];
    for solver in full.solvers() {
        all.push((Group::FewerSteps, Candidate::fewer_steps(full, *solver, compute_fraction)?));
    }
    Ok(all)
}
