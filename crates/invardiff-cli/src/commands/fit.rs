//! `invardiff fit`: the measurements that other methods need.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use invardiff::{Pipeline, PipelineWork, SamplerKind, files};
use invardiff_lab::fit::{FitMethod, MethodFit};
use invardiff_plan::CachePlan;
use invardiff_plan::methods::magcache::Magnitudes;
use invardiff_plan::methods::smoothcache::ComponentErrors;
use invardiff_plan::methods::teacache::TeaCacheFit;
use invardiff_runtime::Sampler;
use serde_json::{Value, json};

use super::request::{self, PromptFlags};
use crate::args::DeviceArg;
use crate::progress::Bars;
use crate::stdout::say;

const HELP: &str = "\
Examples:
  invardiff fit teacache --out teacache.json
  invardiff fit magcache --model emoji --num-inference-steps 28 --runs 4 --out ratios.json
  invardiff fit smoothcache --out errors.json

`compare` takes these files (--teacache, --magcache, --smoothcache) and makes the measurements that are not given. docs/baselines.md
explains them and how the methods use them.

--json prints one object: method, model, num_inference_steps, runs, out, and the measurement.";

/// Measure what TeaCache, MagCache or SmoothCache need
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The method
    #[arg(value_enum, value_name = "METHOD")]
    method: Method,
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights (.safetensors, .pt, or a folder), or the id of a
    /// repository on a hub (owner/name)
    #[arg(long, default_value = "fashion", value_name = "MODEL")]
    model: String,
    /// Steps of the sampler; by default as published: 50 for DiT, 28 for FLUX.1-dev, 4 for FLUX.1-schnell
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=1000))]
    num_inference_steps: Option<u32>,
    /// The sampler; by default ddim for DiT and flow-match-euler for FLUX
    #[arg(long, value_parser = crate::args::sampler())]
    sampler: Option<SamplerKind>,
    /// Trajectories to measure, of the classes or prompts in turn; by default 16 classes, or every prompt once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    runs: Option<u32>,
    #[command(flatten)]
    prompts: PromptFlags,
    /// Guidance scale (1: none); by default the model's own
    #[arg(long, value_name = "SCALE")]
    guidance_scale: Option<f32>,
    /// Seed of the first run's noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArg,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "that is what they are called")]
enum Method {
    /// Polynomial from the change of the first block's modulated input to the change of the output
    #[value(name = "teacache")]
    TeaCache,
    /// Magnitude ratios of the residual of all blocks
    #[value(name = "magcache")]
    MagCache,
    /// Errors of reuse, per kind of module and distance in steps
    #[value(name = "smoothcache")]
    SmoothCache,
}

/// Runs the command.
///
/// # Errors
/// When the model cannot be loaded, the options do not fit it, or the file cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    files::check_writable(&args.out)?;
    let mut asked = args.prompts.request();
    asked.runs = request::steps(args.runs);
    asked.model = Some(args.model.clone());
    asked.sampler = args.sampler;
    asked.num_inference_steps = request::steps(args.num_inference_steps);
    asked.guidance_scale = args.guidance_scale;
    request::work(&asked, args.device, args)
}

impl Method {
    const fn measured(self) -> FitMethod {
        match self {
            Self::TeaCache => FitMethod::TeaCache,
            Self::MagCache => FitMethod::MagCache,
            Self::SmoothCache => FitMethod::SmoothCache,
        }
    }
}

impl PipelineWork for &Args {
    type Output = Result<ExitCode>;

    fn on<const D: usize, P: Pipeline<D>>(self, pipeline: &P, _: Option<CachePlan>) -> Result<ExitCode> {
        let runs = self.runs.map_or_else(|| pipeline.default_runs(), |runs| runs as usize);
        let bars = Bars::default();
        let found = MethodFit::measure(self.method.measured(), pipeline, runs, self.seed, &bars)?;
        found.write(&self.out)?;
        let line = match &found {
            MethodFit::TeaCache(fit) => teacache_line(&fit.fit),
            MethodFit::MagCache(fit) => magnitudes_line(&fit.fit),
            MethodFit::SmoothCache(fit) => errors_line(&fit.fit),
        };
        report(self, pipeline, runs, found.json()?, &line)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn report<const D: usize, P: Pipeline<D>>(
    args: &Args,
    pipeline: &P,
    runs: usize,
    found: Value,
    line: &str,
) -> Result<()> {
    if args.json {
        let object = json!({
            "method": clap::ValueEnum::to_possible_value(&args.method).map(|value| value.get_name().to_owned()),
            "model": pipeline.name(),
            "num_inference_steps": pipeline.sampler().steps(),
            "runs": runs,
            "out": args.out,
            "found": found,
        });
        say(format_args!("{object:#}"))?;
    } else {
        say(format_args!("{}: {line}", args.out.display()))?;
    }
    Ok(())
}

fn teacache_line(fit: &TeaCacheFit) -> String {
    let coefficients: Vec<String> = fit.coefficients.0.iter().map(|value| format!("{value:.6}")).collect();
    format!(
        "coefficients {} over {} pairs, input changes {:.4} to {:.4}; it misses {:.4} of {:.4} (root mean square)",
        coefficients.join(", "),
        fit.pairs,
        fit.range[0],
        fit.range[1],
        fit.rms_error,
        fit.rms_change,
    )
}

fn magnitudes_line(fit: &Magnitudes) -> String {
    let least = fit.ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = fit.ratios.iter().copied().fold(0.0, f64::max);
    format!("{} ratios from {least:.4} to {most:.4}", fit.ratios.len())
}

fn errors_line(fit: &ComponentErrors) -> String {
    let mean = |row: &Vec<f64>| row.iter().sum::<f64>() / row.len().max(1) as f64;
    let of = |rows: &Vec<Vec<f64>>| {
        rows.iter().map(|row| format!("{:.3}", mean(row))).collect::<Vec<_>>().join(", ")
    };
    let kinds = fit.components.iter().map(|(kind, rows)| format!("{kind} {}", of(rows)));
    format!("mean errors by distance: {}", kinds.collect::<Vec<_>>().join("; "))
}
