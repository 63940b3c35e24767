//! `invardiff plan make`.

mod gram;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::stdout::say;
use anyhow::{Context, Result, ensure};
use invardiff_plan::ReuseRule;
use invardiff_plan::fitted::GramAtlas;
use invardiff_plan::least_error::{Criterion, FrontPoint, PlannerOptions, SkipErrors, front};
use serde_json::json;

const HELP: &str = "\
Examples:
  invardiff plan make out/fashion/skips.atlas
      For every number of computed steps, the gate of least error
  invardiff plan make out/fashion/skips.atlas --target-speedup 2.5 --out plan.json
  invardiff plan make out/fashion/skips.atlas --compute-steps 17 --longest-run 3 --hold --out plan.json
  invardiff plan make out/fashion/target.gram
      For every number of evaluations, the times with the least sum of prices to the powers 1, 2 and 4
  invardiff plan make out/fashion/target.gram --power 4 --target-speedup 2.5 --num-inference-steps 30 --out plan-30.json

`calibrate` writes skips.atlas and target.gram. Planning takes milliseconds for the first and some seconds for the second, and needs no
model. Weights from a Gram file are fitted on the target's own trajectories; those of `calibrate`, fitted on the run's, are nearer.

--json prints one object: atlas, model, steps, window, runs, front (computed_steps, speedup, error, gate; `#` = skipped), out; for a
Gram file: atlas, model, steps, conditions, candidates, fronts (power, front: evaluations, speedup, price, times), out.";

/// Make a plan from the measurements of a calibration, without the model
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The file of skip errors (.atlas) or of inner products (.gram) that `calibrate` wrote
    #[arg(value_name = "ATLAS")]
    atlas: PathBuf,
    /// Compute this many steps
    #[arg(long, value_name = "N", conflicts_with = "target_speedup", requires = "out")]
    compute_steps: Option<usize>,
    /// Predicted speed-up of the plan
    #[arg(long, value_name = "X", requires = "out")]
    target_speedup: Option<f64>,
    /// The plan file to write (.json or .bin)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Hold the last computed value instead of extrapolating the last two
    #[arg(long)]
    hold: bool,
    /// Add squared errors instead of errors (for errors of skips that are uncorrelated)
    #[arg(long)]
    squares: bool,
    /// Number of first steps that are always computed
    #[arg(long, default_value_t = 2, value_name = "N")]
    warm_up: usize,
    /// Number of last steps that are always computed
    #[arg(long, default_value_t = 1, value_name = "N")]
    last: usize,
    /// The most consecutive skipped steps; also limited by the window of the measurements
    #[arg(long, value_name = "N")]
    longest_run: Option<usize>,
    /// Gram files: the power of the prices that are added up; by default 1, 2 and 4, and 1 for the plan that is written
    #[arg(long, value_name = "P")]
    power: Option<f64>,
    /// Gram files: the number of steps of the run that the plan stands for; by default the calibration's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    num_inference_steps: Option<u32>,
    /// Gram files with --num-inference-steps: the model, where it is not embedded
    #[arg(long, value_name = "MODEL", requires = "num_inference_steps")]
    model: Option<String>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    if GramAtlas::is_one(&args.atlas)? {
        return gram::run(args).map(|()| ExitCode::SUCCESS);
    }
    let unused =
        [("--power", args.power.is_some()), ("--num-inference-steps", args.num_inference_steps.is_some())];
    if let Some((flag, _)) = unused.into_iter().find(|(_, given)| *given) {
        anyhow::bail!("{flag} is for Gram files, and {} is none", args.atlas.display());
    }
    let atlas = SkipErrors::read(&args.atlas)?;
    let rule = if args.hold { ReuseRule::Hold } else { ReuseRule::Extrapolate(1) };
    let options = PlannerOptions::default()
        .with_rule(rule)
        .with_criterion(if args.squares { Criterion::Squares } else { Criterion::Sum })
        .with_warm_up(args.warm_up)
        .with_last(args.last)
        .with_longest_run(args.longest_run.unwrap_or(usize::MAX));
    let points = front(&atlas, &options)?;
    if let Some(out) = &args.out {
        let point = chosen(args, &atlas, &points)?;
        point.plan(&atlas, rule)?.write(out)?;
    }
    if args.json {
        let point = |point: &FrontPoint| {
            json!({
                "computed_steps": point.computed,
                "speedup": atlas.steps() as f64 / point.computed as f64,
                "error": point.error,
                "gate": drawn(point),
            })
        };
        let object = json!({
            "atlas": args.atlas, "model": atlas.topology().model, "steps": atlas.steps(), "window": atlas.window(),
            "runs": atlas.runs(), "front": points.iter().map(point).collect::<Vec<_>>(), "out": args.out,
        });
        say(format_args!("{object:#}"))?;
    } else if let Some(out) = &args.out {
        say(format_args!("{}", out.display()))?;
    } else {
        say(format_args!("computed  speed-up       error  gate (. computed, # skipped)"))?;
        for point in &points {
            let speedup = atlas.steps() as f64 / point.computed as f64;
            say(format_args!(
                "{:8}  {speedup:7.2}x  {:10.4}  {}",
                point.computed,
                point.error,
                drawn(point)
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The requested plan among those of all numbers of computed steps.
fn chosen<'a>(args: &Args, atlas: &SkipErrors, points: &'a [FrontPoint]) -> Result<&'a FrontPoint> {
    let fewest = points
        .first()
        .context("no gate fits these bounds; loosen --longest-run, --warm-up or --last")?
        .computed;
    let steps = atlas.steps();
    let computed = match (args.compute_steps, args.target_speedup) {
        (Some(computed), _) => computed,
        (None, Some(speedup)) => {
            ensure!(
                (1.0..=steps as f64 / fewest as f64).contains(&speedup),
                "--target-speedup is {speedup}, expected 1 to {:.2}",
                steps as f64 / fewest as f64
            );
            (steps as f64 / speedup).floor() as usize
        }
        (None, None) => {
            anyhow::bail!("--out needs --compute-steps or --target-speedup, to know which plan to write")
        }
    };
    points
        .iter()
        .find(|point| point.computed == computed)
        .with_context(|| format!("--compute-steps is {computed}, expected {fewest} to {steps}"))
}

fn drawn(point: &FrontPoint) -> String {
    point.gate.iter().map(|skipped| if *skipped { '#' } else { '.' }).collect()
}
