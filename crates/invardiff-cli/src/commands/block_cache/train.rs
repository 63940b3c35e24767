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
    pub(super) plan: PathBuf,
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub; by default the
    /// plan's model
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// Iterations in all, each of one batch of trajectories
    #[arg(long, default_value_t = 80, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) iterations: u32,
    /// Trajectories of an iteration
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) batch_size: u32,
    /// Learning rate of AdamW
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
    pub(super) learning_rate: f64,
    /// Trajectories are of seeds 5000000 above this one
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Held-out images of the report
    #[arg(long = "images", alias = "pictures", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) images: u32,
    #[command(flatten)]
    pub(super) prompts: PromptFlags,
    /// Go on from the state beside the plan
    #[arg(long)]
    pub(super) resume: bool,
    #[command(flatten)]
    pub(super) device: DeviceArg,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(super) json: bool,
}
