//! `invardiff block-cache train`.

use std::path::PathBuf;

use crate::args::DeviceArg;
use crate::commands::request::PromptFlags;

const HELP: &str = "\
Examples:
  invardiff block-cache train plan.json
      Model, sampler, steps and guidance are those that the plan was made for
  invardiff block-cache train plan.json --iterations 200 --resume

Each iteration follows the uncached model along trajectories of its own; at every step that reuses something, the adjusted
prediction is compared with the uncached one there, and the vectors of that step learn. Written beside the plan, named by
its fingerprint: scale-shift-HASH.safetensors (the vectors), scale-shift-HASH.state.safetensors (every 5 iterations),
scale-shift-HASH/report.html.

--json prints one object: plan, adjustment, report, iterations, seconds, adjusted_modules, bytes, table.";

/// Train the scales and shifts of a plan's reuses against the uncached model, whose weights stay as they are
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The plan
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub; by default the
    /// plan's model
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Iterations in all, each of one batch of trajectories
    #[arg(long, default_value_t = 80, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    iterations: u32,
    /// Trajectories of an iteration
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: u32,
    /// Learning rate of AdamW
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
    learning_rate: f64,
    /// Trajectories are of seeds 5000000 above this one
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Held-out images of the report
    #[arg(long = "images", alias = "pictures", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    images: u32,
    #[command(flatten)]
    prompts: PromptFlags,
    /// Go on from the state beside the plan
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    device: DeviceArg,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

#[cfg(feature = "autodiff")]
mod training {
    //! Trains, and prints what came of it.

    use std::process::ExitCode;

    use anyhow::{Context, Result};
    use invardiff::{Pipeline, PipelineWork};
    use invardiff_lab::block_cache::{ScaleShiftOptions, train};
    use invardiff_plan::CachePlan;
    use serde_json::json;

    use super::Args;
    use crate::commands::request;
    use crate::progress::Bars;
    use crate::stdout::say;

    impl Args {
        pub(in crate::commands::block_cache) fn run(&self) -> Result<ExitCode> {
            let mut asked = self.prompts.request();
            asked.model.clone_from(&self.model);
            asked.plan = Some(self.plan.clone());
            request::work(&asked, self.device, self)
        }

        fn options(&self) -> ScaleShiftOptions {
            let mut options = ScaleShiftOptions::default();
            options.iterations = self.iterations as usize;
            options.batch_size = self.batch_size as usize;
            options.learning_rate = self.learning_rate;
            options.seed = self.seed;
            options.images = self.images as usize;
            options.resume = self.resume;
            options
        }
    }

    impl PipelineWork for &Args {
        type Output = Result<ExitCode>;

        fn on<const D: usize, P: Pipeline<D>>(self, full: &P, plan: Option<CachePlan>) -> Result<ExitCode> {
            let plan = plan.context("PLAN is missing")?;
            let prompts = self.prompts.request().prompts;
            let trained = train(full, &plan, &self.plan, &prompts, &self.options(), &Bars::default())?;
            let (report, page) = (&trained.report, &trained.page);
            if self.json {
                let object = json!({
                    "plan": self.plan, "adjustment": trained.adjustment, "report": page,
                    "iterations": trained.iterations, "seconds": trained.seconds,
                    "adjusted_modules": trained.adjusted_modules, "bytes": trained.bytes, "table": report.table,
                });
                say(format_args!("{object:#}"))?;
            } else {
                say(format_args!("{}\n{}\n\n{}", report.title, report.subtitle, report.table))?;
                say(format_args!("vectors {}\nreport  {}", trained.adjustment.display(), page.display()))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
