//! The fitted plan: made for the flags, and described for the report.

use crate::progress::Bars;
use anyhow::{Context, Result};
use invardiff::Pipeline;
use invardiff_calib::{CalibError, Fitted, FittedOptions, Multistep, Session, SharedDenoiser};
use invardiff_lab::Candidate;
use invardiff_plan::core::Target;
use invardiff_plan::{CachePlan, Provenance};
use invardiff_report::{Group, Report};
use invardiff_runtime::Sampler;

use super::Args;

/// The target of a fitted plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Toward {
    /// The full run.
    Own,
    /// The converged trajectory (--converged-steps of the model's best solver).
    Converged,
}

/// A fitted plan and what it is held against.
pub(super) struct FittedPlan {
    /// The plan.
    pub(super) found: Fitted,
    /// Solvers of as many evaluations at the times that suit them best, with their names.
    pub(super) solvers: Vec<(Multistep, CachePlan)>,
    /// Whether it comes nearer to its target than the plan of least error, on the conditions that it was chosen on.
    pub(super) wins: bool,
}

/// The most runs that weights are fitted and chosen on: more of them gain nothing (docs/planning.md).
const RUNS: usize = 12;

/// Makes the plan for the goal, or without one with at most `compute` of the full run's FLOPs; `least` is the plan of least error of
/// as much compute.
///
/// # Errors
/// When no plan reaches the goal, naming its flag; when the target is a converged trajectory and none was asked for.
pub(super) fn plan<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    least: &CachePlan,
    compute: f64,
    like: &Provenance,
) -> Result<FittedPlan> {
    let runs = full.calibration_runs(args.runs(full).min(RUNS), args.seed)?;
    let mut options = FittedOptions::default();
    options.kept_out = runs.len() / 3;
    options.provenance = like.clone();
    let bars = Bars::default();
    let session = full.session(&runs)?.with_progress(&bars);
    let about = (compute * full.sampler().steps() as f64).round() as usize;
    let record = match exact(args, full)? {
        None => {
            announce(&session, full.sampler(), about, &options);
            session.record_target(Target::Own, full.sampler(), &options)?
        }
        Some(exact) => {
            announce(&session, exact.sampler(), about, &options);
            session.record_target(Target::Converged, exact.sampler(), &options)?
        }
    };
    let found = match record.plan(args.goal.or(compute)) {
        Err(error @ CalibError::Goal { .. }) => {
            return Err(error).context(args.goal.flag().unwrap_or("--toward"));
        }
        found => found?,
    };
    let tried = &found.tried[found.chosen];
    let psnr = record.psnr(least)?;
    let wins = tried.kept_out >= psnr.iter().sum::<f64>() / psnr.len() as f64;
    let times = [tried.points.clone()];
    let solvers = full.multistep().into_iter();
    let solvers = solvers.map(|solver| Ok((solver, record.solver(solver, found.plan.steps(), &times)?)));
    Ok(FittedPlan { solvers: solvers.collect::<Result<_>>()?, found, wins })
}

/// The pipeline whose trajectories are the target; `None` for the full run itself.
fn exact<const D: usize, P: Pipeline<D>>(args: &Args, full: &P) -> Result<Option<P>> {
    let steps = args.converged_steps as usize;
    if args.toward == Some(Toward::Own) || (args.toward.is_none() && steps == 0) {
        return Ok(None);
    }
    let solver = full.solvers().last().filter(|_| steps > 0);
    let solver = solver.context("--toward converged: there are no --converged-steps of a solver to go by")?;
    Ok(Some(full.with_sampler(*solver, steps).context("--converged-steps")?))
}

/// Says before it starts what the fit costs.
fn announce<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync, T: Sampler<D>>(
    session: &Session<'_, D, M, S>,
    target: &T,
    evaluations: usize,
    options: &FittedOptions,
) {
    let (runs, steps) = (session.runs().len(), target.steps());
    eprintln!(
        "fitting towards {steps} steps of {}: {runs} plain runs of it, then at most {} evaluations of the network in replays (for a \
         plan of {evaluations} evaluations); at most {} KiB are held",
        target.name(),
        options.replays(runs, evaluations),
        session.target_bytes(steps, options) >> 10
    );
}

/// The plan as a row of the table.
///
/// # Errors
/// When the plan does not fit.
pub(super) fn candidate<const D: usize, P: Pipeline<D>>(full: &P, fitted: &Fitted) -> Result<Candidate<P>> {
    let (steps, target) = (fitted.plan.steps(), name(fitted));
    let what = format!("{steps} evaluations at times and with weights fitted towards {target}");
    Ok(Candidate::plan(full, "fitted", &what, &fitted.plan)?)
}

fn name(fitted: &Fitted) -> &'static str {
    match fitted.atlas.target {
        Target::Own => "the full run",
        Target::Converged => "the converged trajectory",
    }
}

/// A sentence for the report on how the plan was found.
pub(super) fn note(fitted: &Fitted) -> String {
    let tried = &fitted.tried[fitted.chosen];
    let fit = fitted.plan.fit();
    let (on, out) = fit.map_or((0, 0), |fit| (fit.fitted_on, fit.chosen_on));
    format!(
        "The fitted plan is the best of {} closed-loop fits towards {}: weights from {on} conditions, chosen on {out} others, \
         where it is {:.1} dB from it in the mean and {:.1} dB in the worst image.",
        fitted.tried.len(),
        name(fitted),
        tried.kept_out,
        tried.worst
    )
}

/// The headline: the plan's speed-up, and its PSNR to either reference.
pub(super) fn gain(report: &Report) -> Option<String> {
    let own = report.table.rows.iter().find(|row| row.group == Group::Plan)?;
    let full = report.table.rows.iter().find(|row| row.group == Group::Reference)?;
    let faster = 1.0 / own.compute_fraction;
    let from_full = format!("{:.1} dB from it", own.quality.psnr_mean);
    let exact = own.converged.zip(full.converged).map(|(own, full)| {
        let apart = own.psnr_mean - full.psnr_mean;
        let side = if apart >= 0.0 { "nearer to" } else { "farther from" };
        format!(
            "{:.1} dB {side} the exact image than your full run ({:.1} instead of {:.1} dB); ",
            apart.abs(),
            own.psnr_mean,
            full.psnr_mean
        )
    });
    let exact = exact.unwrap_or_else(|| "compared with your full run: ".into());
    Some(format!("{faster:.1}x faster; {exact}{from_full} (PSNR, means of held-out images)"))
}
