//! The plan of least error: made for the flags, and described for the report.

use crate::progress::Bars;
use anyhow::{Context, Result};
use invardiff::Pipeline;
use invardiff_calib::{CacheBudget, CalibError, LeastError, LeastErrorOptions, Replayed};
use invardiff_plan::Provenance;

use super::Args;

/// Makes the plan for the goal, or without one with at most `compute` of the full run's FLOPs.
///
/// # Errors
/// When no plan reaches the goal, naming its flag.
pub(super) fn plan<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    compute: f64,
    like: &Provenance,
) -> Result<LeastError> {
    let options = options(args, full, like)?;
    let runs = full.calibration_runs(args.runs(full), args.seed)?;
    let bars = Bars::default();
    let session = full.session(&runs)?.with_progress(&bars);
    match session.least_error(args.goal.or(compute), &options) {
        Err(CalibError::Goal { goal, value, expected }) => {
            let flag = if goal == CacheBudget::NAME { Some("--cache-budget") } else { args.goal.flag() };
            let error = CalibError::Goal { goal, value, expected };
            Err(error).context(flag.unwrap_or("the plan of least error"))
        }
        found => Ok(found?),
    }
}

fn options<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    like: &Provenance,
) -> Result<LeastErrorOptions> {
    let mut options = LeastErrorOptions::default();
    options.strategies = args.means.strategies();
    options.axis = args.means.axis();
    options.warm_up = args.warm_up.unwrap_or_default();
    options.plan_modules = args.means.plan_modules();
    options.check_front = true;
    options.guard = args.means.guard()?;
    options.cache_budget = args
        .means
        .budget()
        .map(|bytes| CacheBudget::new(bytes, full.dtype().size()).with_storage(args.means.storage()));
    options.provenance = like.clone();
    Ok(options)
}

/// Sentences for the report on how the plan was found.
pub(super) fn notes(found: &LeastError) -> Vec<String> {
    let mut notes = Vec::new();
    if !found.tried.is_empty() {
        let tried: Vec<String> =
            found.tried.iter().map(|(strategy, psnr)| format!("{strategy} {psnr:.1} dB")).collect();
        notes.push(format!(
            "Skips of the least-error plan stand in for {}: replayed on the calibration's conditions, {}.",
            found.strategy,
            tried.join(", ")
        ));
    }
    notes.push(replay_note(&found.replayed));
    if let Some(modules) = &found.modules {
        let verdict = if modules.psnr > modules.without { "it pays" } else { "it does not pay" };
        notes.push(format!(
            "Module reuse planned by error, {} steps computed and {} modules reused at the same compute: {:.1} dB against \
             {:.1} dB on the calibration's conditions; {verdict}.",
            modules.computed,
            modules.plan.reused_modules(),
            modules.psnr,
            modules.without
        ));
    }
    notes
}

fn replay_note(replayed: &Replayed) -> String {
    let Replayed { predicted, found, refined } = replayed;
    let margin = Replayed::MARGIN;
    let said = format!(
        "On the calibration's conditions the least-error plan keeps {found:.1} dB in a real replay; the atlas says \
         {predicted:.1} dB"
    );
    match refined {
        None => format!("{said} (refined only if the replay is worse by more than {margin} dB)."),
        Some(refined) => format!(
            "{said}, more than {margin} dB off: {} computed steps were moved by replays on {} conditions, which gives \
             {:.1} dB.",
            refined.swaps, refined.runs, refined.psnr
        ),
    }
}
