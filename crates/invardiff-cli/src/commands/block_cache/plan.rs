//! `invardiff block-cache plan`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::units::two_decimals;
use invardiff::{Pipeline, PipelineWork, SamplerKind, files};
use invardiff_plan::methods::block_caching::ChangeTable;
use invardiff_plan::{CachePlan, Cost, Kind, Topology};
use invardiff_runtime::Denoiser;
use serde_json::json;

use crate::args::DeviceArg;
use crate::commands::request::{self, PromptFlags};
use crate::progress::Bars;
use crate::stdout::say;

const HELP: &str = "\
Examples:
  invardiff block-cache plan --target-compute 0.5 --out plan.json
      The embedded Fashion-MNIST model, DDIM-50: the smallest threshold that computes at most half
  invardiff block-cache plan --model emoji --delta 0.3 --kind msa --out plan.json
      Only attention may be reused, as in the paper

--json prints one object: model, delta, compute_fraction, predicted_speedup (two decimals), steps, reused_modules, runs, out.";

/// Measure how much every module changes, and reuse each until its changes add up to a threshold
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub
    #[arg(long, default_value = "fashion", value_name = "MODEL")]
    model: String,
    /// Steps of the sampler; by default as published: 50 for DiT, 28 for FLUX.1-dev, 4 for FLUX.1-schnell
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    num_inference_steps: Option<u32>,
    /// The sampler; by default ddim for DiT and flow-match-euler for FLUX
    #[arg(long, value_parser = crate::args::sampler())]
    sampler: Option<SamplerKind>,
    /// Guidance scale (1: none); by default the model's own
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true)]
    guidance_scale: Option<f32>,
    /// Trajectories to measure, of the classes or prompts in turn
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    runs: u32,
    /// The threshold: relative L1 changes are added up until it
    #[arg(long, value_name = "DELTA", conflicts_with = "target_compute")]
    delta: Option<f64>,
    /// The smallest threshold whose plan costs at most this share of the full run
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    target_compute: f64,
    /// Modules that may be reused; may be repeated; by default all
    #[arg(long = "kind", value_name = "KIND", value_parser = |text: &str| Kind::parse(text))]
    kinds: Vec<Kind>,
    /// Seed of the first run's noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    prompts: PromptFlags,
    #[command(flatten)]
    device: DeviceArg,
    /// Where the plan goes (.json or .bin)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    files::check_writable(&args.out).context("--out")?;
    let mut asked = args.prompts.request();
    asked.runs = Some(args.runs as usize);
    asked.model = Some(args.model.clone());
    asked.sampler = args.sampler;
    asked.num_inference_steps = request::steps(args.num_inference_steps);
    asked.guidance_scale = args.guidance_scale;
    request::work(&asked, args.device, args)
}

impl PipelineWork for &Args {
    type Output = Result<ExitCode>;

    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, _: Option<CachePlan>) -> Result<ExitCode> {
        let topology = full.denoiser().topology();
        for kind in &self.kinds {
            topology.require(*kind).context("--kind")?;
        }
        let runs = full.calibration_runs(self.runs as usize, self.seed)?;
        let progress = Bars::default();
        let table = full.session(&runs)?.with_progress(&progress).block_changes()?;
        let (delta, mut plan) = chosen(self, &table, &topology)?;
        plan.provenance.tool = concat!("invardiff ", env!("CARGO_PKG_VERSION")).into();
        plan.provenance.execution = Some(full.execution());
        plan.provenance.calibration = Some(full.calibration_origin(self.runs as usize, self.seed));
        plan.schedule(&topology)?;
        plan.write(&self.out)?;
        let cost = Cost::of(&plan, &topology)?;
        if self.json {
            let object = json!({
                "model": full.name(), "delta": delta, "compute_fraction": cost.compute_fraction(),
                "predicted_speedup": two_decimals(cost.speedup()), "steps": plan.steps(),
                "reused_modules": plan.reused_modules(), "runs": table.runs(), "out": self.out,
            });
            say(format_args!("{object:#}"))?;
        } else {
            say(format_args!(
                "{}: delta {delta:.4}, {} of {} modules reused, predicted speed-up {:.2}x",
                self.out.display(),
                plan.reused_modules(),
                plan.reuse().len(),
                cost.speedup()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn chosen(args: &Args, table: &ChangeTable, topology: &Topology) -> Result<(f64, CachePlan)> {
    match args.delta {
        Some(delta) => Ok((delta, table.plan(delta, &args.kinds).context("--delta")?)),
        None => table.plan_at(args.target_compute, &args.kinds, topology).context("--target-compute"),
    }
}
