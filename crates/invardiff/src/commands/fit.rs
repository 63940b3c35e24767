//! `invardiff fit`: what other methods are calibrated from.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff_calib::{Changes, Run, measure_changes, measure_component_errors};
use invardiff_plan::{CachePlan, Calibration, ComponentErrors, Fit, Magnitudes, Measurement, TeaCacheFit};
use invardiff_runtime::Sampler;
use serde_json::{Value, json};

use super::wanted::{PromptFlags, Wanted, Work};
use crate::stdout::say;
use crate::{DeviceArg, Pipeline, SamplerKind, bar, files, on_processor};

const HELP: &str = "\
Examples:
  invardiff fit teacache --out teacache.json
  invardiff fit magcache --model emoji --num-inference-steps 28 --runs 4 --out ratios.json
  invardiff fit smoothcache --out errors.json

`compare` takes these files (--teacache, --magcache, --smoothcache) and measures what is not given. docs/rivals.md says what is
measured and what the methods make of it.

--json prints one object: method, model, num_inference_steps, runs, out, and what was found.";

/// Measure what TeaCache, MagCache or SmoothCache decide by
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
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
    #[arg(long, value_enum)]
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
    /// Where the measurement goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "that is what they are called")]
enum Method {
    /// The polynomial from the first block's modulated input to the output
    #[value(name = "teacache")]
    TeaCache,
    /// The magnitude ratios of what all blocks add
    #[value(name = "magcache")]
    MagCache,
    /// The errors of standing in, a kind of module and distance
    #[value(name = "smoothcache")]
    SmoothCache,
}

/// Runs the command.
///
/// # Errors
/// When the model cannot be loaded, the options do not fit it, or the file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    files::check_writable(&args.out)?;
    let wanted = Wanted {
        model: Some(&args.model),
        sampler: args.sampler,
        num_inference_steps: args.num_inference_steps,
        guidance_scale: args.guidance_scale,
        ..Wanted::of(&args.prompts)
    };
    wanted.work(&args.device, args)
}

impl Work for &Args {
    fn on<const D: usize, P: Pipeline<D>>(self, pipeline: &P, _: Option<CachePlan>) -> Result<ExitCode> {
        let runs = self.runs.map_or_else(|| pipeline.usual_runs(), |runs| runs as usize);
        let progress = bar(runs, "measuring (runs)");
        let bench = Bench::new(pipeline, runs, self.seed)?;
        let tick = || progress.inc(1);
        let (found, line) = match self.method {
            Method::TeaCache => {
                let fit = bench.sign(bench.teacache(&tick)?);
                fit.write(&self.out)?;
                (serde_json::to_value(&fit.fit)?, teacache_line(&fit.fit))
            }
            Method::MagCache => {
                let fit = bench.sign(bench.magnitudes(&tick)?);
                fit.write(&self.out)?;
                (serde_json::to_value(&fit.fit)?, magnitudes_line(&fit.fit))
            }
            Method::SmoothCache => {
                let fit = bench.sign(bench.component_errors(&tick)?);
                fit.write(&self.out)?;
                (serde_json::to_value(&fit.fit)?, errors_line(&fit.fit))
            }
        };
        progress.finish_and_clear();
        report(self, pipeline, runs, found, &line)?;
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

/// `count` uncached trajectories to measure along: subjects in turn, seeds from `seed` on.
pub(super) fn runs<const D: usize, P: Pipeline<D>>(
    pipeline: &P,
    count: usize,
    seed: u64,
) -> Result<Vec<Run<D, P::Cond>>> {
    let run = |index: usize| {
        let noise = pipeline.noise(&[seed.wrapping_add(index as u64)]);
        Ok(Run { noise, cond: pipeline.condition(&[pipeline.subject(index)])? })
    };
    (0..count).map(run).collect()
}

/// Uncached trajectories of a pipeline with where they come from.
pub(super) struct Bench<'a, const D: usize, P: Pipeline<D>> {
    pipeline: &'a P,
    runs: Vec<Run<D, P::Cond>>,
    origin: Calibration,
}

impl<'a, const D: usize, P: Pipeline<D>> Bench<'a, D, P> {
    /// `count` trajectories: subjects in turn, seeds from `seed` on.
    pub(super) fn new(pipeline: &'a P, count: usize, seed: u64) -> Result<Self> {
        let origin = Calibration {
            conditions: (0..count).map(|run| pipeline.describe(&pipeline.subject(run))).collect(),
            seeds: (0..count as u64).map(|run| seed.wrapping_add(run)).collect(),
            guidance_scale: pipeline.guidance_scale(),
        };
        Ok(Self { pipeline, runs: runs(pipeline, count, seed)?, origin })
    }

    /// What TeaCache decides by.
    pub(super) fn teacache(&self, tick: &(dyn Fn() + Sync)) -> Result<TeaCacheFit> {
        Ok(Changes::teacache(&self.changes(tick)?)?)
    }

    /// What MagCache decides by.
    pub(super) fn magnitudes(&self, tick: &(dyn Fn() + Sync)) -> Result<Magnitudes> {
        Ok(Changes::magnitudes(&self.changes(tick)?))
    }

    /// Both from one pass.
    pub(super) fn changes(&self, tick: &(dyn Fn() + Sync)) -> Result<Vec<Changes>> {
        let Self { pipeline, runs, .. } = self;
        let parallel = on_processor(pipeline.device());
        measure_changes(pipeline.denoiser(), pipeline.sampler(), runs, parallel, tick)
            .context("measuring how the run changes")
    }

    /// What SmoothCache decides by.
    pub(super) fn component_errors(&self, tick: &(dyn Fn() + Sync)) -> Result<ComponentErrors> {
        let Self { pipeline, runs, .. } = self;
        let lookahead = ComponentErrors::LOOKAHEAD.min(pipeline.sampler().steps() - 1);
        let parallel = on_processor(pipeline.device());
        measure_component_errors(pipeline.denoiser(), pipeline.sampler(), runs, lookahead, parallel, tick)
            .context("measuring errors of modules")
    }

    /// A measurement with where it comes from.
    pub(super) fn sign<T: Measurement>(&self, fit: T) -> Fit<T> {
        Fit {
            tool: concat!("invardiff ", env!("CARGO_PKG_VERSION")).into(),
            execution: Some(self.pipeline.execution()),
            calibration: Some(self.origin.clone()),
            fit,
        }
    }
}
