//! `invardiff block-cache eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::{Pipeline, PipelineWork, adjustment_path, read_adjustment};
use invardiff_lab::block_cache::evaluate;
use invardiff_plan::CachePlan;
use invardiff_runtime::Denoiser;
use serde_json::json;

use crate::args::DeviceArg;
use crate::commands::request::{self, PromptFlags};
use crate::progress::Bars;
use crate::stdout::say;

const HELP: &str = "\
Examples:
  invardiff block-cache eval plan.json
      The vectors beside the plan against the plan without them
  invardiff block-cache eval plan.json --adjustment other.safetensors --images 50 --json

--json prints one object: plan, adjustment, adjusted_modules, bytes (of the vectors), table.";

/// Hold a plan with adjusted reuse against the same plan without
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The vectors; by default scale-shift-HASH.safetensors beside the plan
    #[arg(long, value_name = "FILE")]
    adjustment: Option<PathBuf>,
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub; by default the
    /// plan's model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Held-out images
    #[arg(long = "images", alias = "pictures", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    images: u32,
    /// Images are of seeds 1000000 above this one, as in `calibrate`
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    prompts: PromptFlags,
    #[command(flatten)]
    device: DeviceArg,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut asked = args.prompts.request();
    asked.model.clone_from(&args.model);
    asked.plan = Some(args.plan.clone());
    request::work(&asked, args.device, args)
}

impl PipelineWork for &Args {
    type Output = Result<ExitCode>;

    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, plan: Option<CachePlan>) -> Result<ExitCode> {
        let plan = &plan.context("PLAN is missing")?;
        full.clone().enable_cache(plan).with_context(|| self.plan.display().to_string())?;
        let path = self.adjustment.clone().map_or_else(|| adjustment_path(&self.plan, plan), Ok)?;
        let adjustment = read_adjustment(&path, plan, &full.denoiser().topology(), full.device())?;
        let (adjusted, bytes) = (adjustment.len(), adjustment.bytes());
        let table = evaluate(full, plan, adjustment, self.images as usize, self.seed, &Bars::default())?;
        if self.json {
            let object = json!({
                "plan": self.plan, "adjustment": path, "adjusted_modules": adjusted, "bytes": bytes, "table": table,
            });
            say(format_args!("{object:#}"))?;
        } else {
            say(table)?;
            say(format_args!("{adjusted} reuses adjusted, {} of vectors", invardiff::units::bytes(bytes)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
