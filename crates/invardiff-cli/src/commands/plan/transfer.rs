//! `invardiff plan transfer`.

mod grid;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::stdout::say;
use anyhow::{Context, Result};
use invardiff_plan::core::Confidence;
use invardiff_plan::{CachePlan, Cost};
use serde_json::json;

pub(super) use grid::Grid;

const HELP: &str = "\
Examples:
  invardiff plan transfer out/fashion/least-error.json --num-inference-steps 40 --out plan-40.json
  invardiff plan transfer out/flux/least-error.json --model black-forest-labs/FLUX.1-dev --num-inference-steps 20 --out plan-20.json

The new gate computes the same share of the steps around each time of the sampler. Only step gates transfer, to half as many
to twice as many steps of the same sampler; up to a quarter more or fewer the confidence is high, beyond that it is fair: check
the images then, or calibrate for the new number of steps.

--json prints one object: plan, out, from_steps, steps, skipped_steps, speedup, confidence.";

/// Adapt the step gate of a plan to another number of steps of the same sampler
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The plan, made by `calibrate` or `plan make`
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The new number of steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=1000))]
    num_inference_steps: u32,
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub
    /// (owner/name); by default the plan's model, if it is embedded
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The plan file to write (.json or .bin)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let named = || args.plan.display().to_string();
    let plan = CachePlan::read(&args.plan)?;
    let run = plan.provenance.execution.clone().with_context(|| {
        format!("{}: it does not say what it was made for, so its times cannot be carried over", named())
    })?;
    let steps = args.num_inference_steps as usize;
    let grid = Grid::new(&run, args.model.as_deref(), steps).with_context(named)?;
    let mut moved = plan.transfer(&grid.topology, &grid.times).with_context(named)?;
    moved.plan.provenance.execution = Some(grid.execution);
    moved.plan.write(&args.out)?;
    let speedup = Cost::of(&moved.plan, &grid.topology)?.speedup();
    let confidence = match moved.confidence {
        Confidence::High => "high",
        Confidence::Fair => "fair",
    };
    if args.json {
        let object = json!({
            "plan": args.plan, "out": args.out, "from_steps": plan.steps(), "steps": steps,
            "skipped_steps": moved.plan.skipped_steps(), "speedup": super::two_decimals(speedup),
            "confidence": confidence,
        });
        say(format_args!("{object:#}"))?;
    } else {
        say(format_args!(
            "{}: {} of {steps} steps skipped, predicted speed-up {speedup:.2}x, confidence {confidence} (from {} steps)",
            args.out.display(),
            moved.plan.skipped_steps(),
            plan.steps()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
