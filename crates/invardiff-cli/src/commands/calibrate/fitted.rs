//! The fitted plan: made for the flags, and described for the report.

use crate::progress::Bars;
use anyhow::{Context, Result};
use invardiff::Pipeline;
use invardiff_calib::{CalibError, Fitted, FittedOptions};
use invardiff_lab::Candidate;
use invardiff_plan::Provenance;
use invardiff_plan::core::Target;
use invardiff_report::{Group, Report};
use invardiff_runtime::Sampler;

use super::Args;
use super::measure::Measured;

/// The target of a fitted plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Toward {
    /// The full run.
    Own,
    /// The converged trajectory (--converged-steps of the model's best solver).
    Converged,
}

/// Makes the plan for the goal, or without one with at most `compute` of the full run's FLOPs.
///
/// # Errors
/// When no plan reaches the goal, naming its flag; when the target is a converged trajectory and none was asked for.
pub(super) fn plan<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    toward: Toward,
    compute: f64,
    like: &Provenance,
) -> Result<Fitted> {
    let runs = full.calibration_runs(args.runs(full), args.seed)?;
    let mut options = FittedOptions::default();
    options.kept_out = runs.len() / 4;
    options.provenance = like.clone();
    let bars = Bars::default();
    let session = full.session(&runs)?.with_progress(&bars);
    let goal = args.goal.or(compute);
    let found = match toward {
        Toward::Own => session.fitted(goal, Target::Own, full.sampler(), &options),
        Toward::Converged => {
            let steps = args.converged_steps as usize;
            let solver = full.solvers().last().filter(|_| steps > 0);
            let solver =
                solver.context("--toward converged: there are no --converged-steps of a solver to go by")?;
            let exact = full.with_sampler(*solver, steps).context("--converged-steps")?;
            eprintln!(
                "fitting towards {steps} steps of {}: {} plain runs of it, then replays; {} KiB are kept",
                exact.sampler().name(),
                runs.len(),
                session.target_bytes(steps, &options) >> 10
            );
            session.fitted(goal, Target::Converged, exact.sampler(), &options)
        }
    };
    match found {
        Err(error @ CalibError::Goal { .. }) => Err(error).context(args.goal.flag().unwrap_or("--toward")),
        found => Ok(found?),
    }
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

/// The headline of a fitted plan: its speed-up, and its PSNR to either reference.
pub(super) fn gain(report: &Report, measured: &Measured) -> Option<String> {
    measured.fitted.as_ref()?;
    let own = report.table.rows.iter().find(|row| row.group == Group::Plan)?;
    let full = report.table.rows.iter().find(|row| row.group == Group::Reference)?;
    let faster = 1.0 / own.compute_fraction;
    let from_full = format!("{:.1} dB from the full run", own.quality.psnr_mean);
    let exact = own.converged.zip(full.converged).map(|(own, full)| {
        let apart = own.psnr_mean - full.psnr_mean;
        let side = if apart >= 0.0 {
            "nearer to the converged images than"
        } else {
            "farther from the converged images than"
        };
        format!("{:.1} dB {side} the full run; ", apart.abs())
    });
    Some(format!("{faster:.1}x faster; {}{from_full} (means of held-out images)", exact.unwrap_or_default()))
}
