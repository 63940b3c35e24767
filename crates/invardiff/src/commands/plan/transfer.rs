//! `invardiff plan transfer`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use invardiff_plan::{CachePlan, Confidence, Cost};
use invardiff_runtime::{Denoiser, Sampler};
use serde_json::json;

use crate::stdout::say;
use crate::{ClassToImage, DeviceChoice, Pipeline, SamplerKind, SamplingOptions};

const HELP: &str = "\
Examples:
  invardiff plan transfer out/fashion/least-error.json --num-inference-steps 40 --out plan-40.json

The new gate computes the same share of the steps around each time of the sampler. Only step gates transfer, to half as many
to twice as many steps of the same sampler; up to a quarter more or fewer the confidence is high, beyond that it is fair: check
the pictures, or calibrate for the number of steps that is wanted.

--json prints one object: plan, out, from_steps, steps, skipped_steps, speedup, confidence.";

/// Lay the step gate of a plan over another number of steps of the same sampler
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// The plan, made by `calibrate` or `plan make`
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The new number of steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=1000))]
    num_inference_steps: u32,
    /// The model, by default the plan's: an embedded name, or the path of DiT weights
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Where the new plan goes (.json or .bin)
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
    let sampler = SamplerKind::from_str(&run.sampler, false).map_err(|_| {
        anyhow::anyhow!("{}: its sampler is {}, which this command does not have", named(), run.sampler)
    })?;
    let options = SamplingOptions {
        sampler,
        num_inference_steps: args.num_inference_steps as usize,
        guidance_scale: Some(run.guidance_scale.unwrap_or(1.0)),
        eta: 0.0,
    };
    let model = args.model.as_deref().unwrap_or(&run.model);
    let pipeline = ClassToImage::from_pretrained(model, options, &DeviceChoice::default().open())?;
    ensure!(
        run.weights_sha256.is_none() || run.weights_sha256.as_deref() == Some(pipeline.weights_sha256()),
        "{}: it was made for other weights than those of {model}",
        named()
    );
    let steps = pipeline.sampler().steps();
    let times: Vec<f64> = (0..steps).map(|step| pipeline.sampler().own_time(step)).collect();
    let topology = pipeline.denoiser().topology();
    let mut moved = plan.transfer(&topology, &times).with_context(named)?;
    moved.plan.provenance.execution = Some(pipeline.execution());
    moved.plan.write(&args.out)?;
    let speedup = Cost::of(&moved.plan, &topology)?.speedup();
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
