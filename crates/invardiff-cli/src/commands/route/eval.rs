//! `invardiff route eval`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use invardiff::{Pipeline, PipelineWork, read_routers};
use invardiff_lab::route::{Controls, evaluate};
use invardiff_plan::CachePlan;
use invardiff_runtime::{Denoiser, Sampler};
use serde_json::json;

use crate::args::DeviceArg;
use crate::commands::request::{self, PromptFlags};
use crate::progress::Bars;
use crate::stdout::say;

const HELP: &str = "\
Examples:
  invardiff route eval out/fashion-routers/routers.safetensors
  invardiff route eval routers.safetensors --threshold 0.3 --images 50 --json

The plan of the routers is held against plans with exactly as many reuses of each kind in the same steps: spread evenly, and
at random places. `routers, blended` is the network with uncut weights, as in training: it saves nothing and shows what the cut
costs.

--json prints one object: routers, model, threshold, computed_modules, routed_modules, table.";

/// Hold routers against full computation and against untrained plans of the same compute
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// Routers: .safetensors of `route train`, or a published checkpoint (.pt)
    #[arg(value_name = "ROUTERS")]
    routers: PathBuf,
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub
    #[arg(long, default_value = "fashion", value_name = "MODEL")]
    model: String,
    /// Steps of the sampler; the routers' own by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    num_inference_steps: Option<u32>,
    /// Guidance scale (1: none); by default the model's own
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true)]
    guidance_scale: Option<f32>,
    /// A module is computed where its weight is above
    #[arg(long, default_value_t = 0.5, value_name = "T")]
    threshold: f32,
    /// Held-out images
    #[arg(long = "images", alias = "pictures", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    images: u32,
    /// Random plans to compare with
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100))]
    randoms: u64,
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
    asked.model = Some(args.model.clone());
    asked.num_inference_steps = request::steps(args.num_inference_steps);
    asked.guidance_scale = args.guidance_scale;
    request::work(&asked, args.device, args)
}

impl PipelineWork for &Args {
    type Output = Result<ExitCode>;

    fn on<const D: usize, P: Pipeline<D>>(self, opened: &P, _: Option<CachePlan>) -> Result<ExitCode> {
        let routers = read_routers(&self.routers, &opened.denoiser().topology())?;
        let (own, asked) = (routers.steps(), self.num_inference_steps);
        let fits = asked.is_none_or(|asked| asked as usize == own);
        ensure!(fits, "the routers are for {own} steps: give --num-inference-steps {own}, or leave it out");
        let full = match opened.solvers().first() {
            Some(solver) if opened.sampler().steps() != own => opened.with_sampler(*solver, own)?,
            Some(_) | None => opened.clone(),
        };
        let plan = routers.plan(self.threshold).context("--threshold")?;
        let controls = Controls { images: self.images as usize, seed: self.seed, randoms: self.randoms };
        let table = evaluate(&full, &routers, &plan, controls, &Bars::default())?;
        let (computed, routed) = (routers.computed(self.threshold), routers.logits().len());
        if self.json {
            let object = json!({
                "routers": self.routers, "model": full.name(), "threshold": self.threshold,
                "computed_modules": computed, "routed_modules": routed, "table": table,
            });
            say(format_args!("{object:#}"))?;
        } else {
            say(table)?;
            say(format_args!("{computed} of {routed} routed modules computed"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
