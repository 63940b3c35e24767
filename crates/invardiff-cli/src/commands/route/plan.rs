//! `invardiff route plan`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::topology;
use invardiff::units::two_decimals;
use invardiff::{files, read_routers};
use invardiff_plan::Cost;
use serde_json::json;

use crate::stdout::say;

const HELP: &str = "\
Examples:
  invardiff route plan out/fashion-routers/routers.safetensors --model fashion --out plan.json
  invardiff route plan ddim20.pt --model dit-xl-2-256 --threshold 0.1 --out plan.json
      A published Learning-to-Cache checkpoint: {\"routers\": {\"I.prob\": [56 logits]}}

--json prints one object: routers, model, threshold, steps, computed_modules and routed_modules (of the steps that routers
decide), predicted_speedup (two decimals), compute_fraction, out.";

/// Cut routers at a threshold and write the plan, without the model's weights
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// Routers: .safetensors of `route train`, or a published checkpoint (.pt)
    #[arg(value_name = "ROUTERS")]
    routers: PathBuf,
    /// The model: embedded, a published name (dit-xl-2-256), or a path
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// A module is computed where its weight is above
    #[arg(long, default_value_t = 0.5, value_name = "T")]
    threshold: f32,
    /// Where the plan goes (.json or .bin)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    files::check_writable(&args.out).context("--out")?;
    let topology = topology(&args.model).with_context(|| format!("--model {}", args.model))?;
    let routers = read_routers(&args.routers, &topology)?;
    let plan = routers.plan(args.threshold).context("--threshold")?;
    plan.write(&args.out)?;
    let (cost, computed) = (Cost::of(&plan, &topology)?, routers.computed(args.threshold));
    let routed = routers.logits().len();
    if args.json {
        let object = json!({
            "routers": args.routers, "model": args.model, "threshold": args.threshold, "steps": routers.steps(),
            "computed_modules": computed, "routed_modules": routed,
            "predicted_speedup": two_decimals(cost.speedup()), "compute_fraction": cost.compute_fraction(),
            "out": args.out,
        });
        say(format_args!("{object:#}"))?;
    } else {
        say(format_args!(
            "{}: {computed} of {routed} routed modules computed, predicted speed-up {:.2}x",
            args.out.display(),
            cost.speedup()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
