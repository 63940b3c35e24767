//! `invardiff bench-model`.

mod calibration;
mod model;
mod outcome;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use burn::tensor::Tensor;
use invardiff::{Dtype, OpenDevice};
use invardiff_models::{Dit, Flux};
use invardiff_plan::methods::baseline::uniform_gate;
use invardiff_plan::two_phase::Variant;
use invardiff_plan::{CachePlan, Cost, Topology};
use invardiff_runtime::{
    BatchedGuidance, Ddim, Denoiser, FlowMatchEuler, GaussianNoise, Sampler, Shift, Spacing,
};
use serde::Serialize;

use super::source::Source;
use crate::args::DeviceArg;
use crate::bench_model::{Subject, attention_path};
use crate::progress::bar;
use crate::stdout::say;
use model::Size;
use outcome::Outcome;

const HELP: &str = "\
Examples:
  invardiff bench-model --model dit-xl-2-256 --random-weights --plan fast.json --device cuda --dtype bf16
  invardiff bench-model --model flux1-dev-1024 --random-weights --plan fast.json --device cuda --dtype bf16 --json
  invardiff bench-model --model dit-s-2-256 --random-weights --num-inference-steps 6 --rounds 1
      Something small, for a look at the output

  invardiff bench-model --model dit-xl-2-256 --random-weights --calibration --rounds 1 --warm-up 0
      What a calibration costs: about 2.2 times a plain run of 50 steps, timed three times

Whole trajectories are timed in turns, with the device waited for at the end of each alone. The processor computes at once:
there, single steps are timed in the same trajectories, and CPU times and peak resident memory are given too; `--rounds 1
--warm-up 0` runs one trajectory of each kind. On other devices steps are timed in further trajectories, each step waited for.
Without --plan every second step is skipped. The weights' values change nothing: times are those of real weights.

--calibration times one calibration run (recording, both phases, the plan), without and with similarity, against one plain
run, all on one image without guidance, with the published settings.

--json prints one object: model, device, device_model, dtype, seed, num_inference_steps, plan (fingerprint), rounds, warm_up,
full_ms, cached_ms, full_cpu_ms, cached_cpu_ms (every trajectory), full_step_ms, computed_step_ms, skipped_step_ms (medians),
computed_steps, skipped_steps, speedup, cpu_speedup, predicted_speedup, peak_cache_bytes, scheduled_cache_bytes,
full_peak_rss_bytes, cached_peak_rss_bytes, memory_in_use_bytes, memory_reserved_bytes, and attention (path, shape,
bytes_taken, score_bytes). With --calibration: passes, and plain, calibration and with_similarity, each with ms, cpu_ms (every
run), peak_rss_bytes, and ratio and cpu_ratio to the plain run.";

/// Time a model of published size with random weights, full and under a plan, or its calibration
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// dit-{s,b,l,xl}-{2,4,8}-{256,512}, flux1-dev-PIXELS, flux1-schnell-PIXELS, or the config.json of a DiT or FLUX
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Draw the weights on the device instead of loading any
    #[arg(long, required = true)]
    random_weights: bool,
    /// The plan to replay (any format that `plan show` reads)
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Time calibration runs instead of runs under a plan
    #[arg(long, conflicts_with = "plan")]
    calibration: bool,
    /// Steps of the sampler; by default the plan's, or 50 (FLUX: 28)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    num_inference_steps: Option<u32>,
    #[command(flatten)]
    device: DeviceArg,
    /// Element type of weights and features
    #[arg(long, value_parser = crate::args::dtype(), default_value_t, value_name = "TYPE")]
    dtype: Dtype,
    /// Timed trajectories of each kind
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Trajectories of each kind before them
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    warm_up: u32,
    /// Seed of the weights and the noise
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    seed: u64,
    /// Pixels along the side of a FLUX image, where the model's name says none
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=16_384))]
    pixels: u32,
    /// Tokens of FLUX's prompt
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    text_tokens: u32,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// A plan laid over a model, and what is known before it runs.
struct Prepared {
    plan: CachePlan,
    predicted_speedup: f64,
    peak_cache_bytes: usize,
}

/// Runs the command.
///
/// # Errors
/// When the model, the plan or the device does not fit, or the device fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    let size = Size::named(&args.model, args.pixels as usize, args.text_tokens as usize)?;
    let device = args.device.open()?;
    args.dtype.check(&device)?;
    let attention = attention_path(&device, size.attention(), args.dtype.burn())?;
    let outcome = match &size {
        Size::Dit(config) => {
            let dit = Dit::random_on_device(config, args.seed, args.dtype.burn(), &device)?;
            let steps = args.steps(&dit.topology(), 50)?;
            let sampler =
                Ddim::new(&config.noise_schedule()?, Spacing::Respaced, steps, config.prediction_type)?;
            let shape = [1, config.in_channels, config.input_size, config.input_size];
            if args.calibration {
                let cond = dit.labels(&[0], &device)?;
                return args.print(calibration::measure(
                    args,
                    &device,
                    Variant::Dit,
                    &dit,
                    &sampler,
                    shape,
                    cond,
                )?);
            }
            let labels = dit.labels(&[0, config.num_classes], &device)?;
            // The authors guide three of the four latent channels.
            let model = BatchedGuidance { model: dit, scale: 4.0, channels: Some(3) };
            measure(args, &device, &model, &sampler, shape, labels)
        }
        Size::Flux(config, canvas) => {
            let flux = Flux::random_on_device(config, args.seed, args.dtype.burn(), &device)?;
            let flux = flux.with_canvas(*canvas);
            let steps = args.steps(&flux.topology(), 28)?;
            let sampler = FlowMatchEuler::new(steps, Shift::for_image(canvas.image_tokens()))?;
            let mut noise = GaussianNoise::seeded(!args.seed);
            let text = noise.draw([1, canvas.text_tokens, config.joint_attention_dim], &device);
            let pooled = noise.draw([1, config.pooled_projection_dim], &device);
            let cond = flux.cond(text, pooled, config.guidance_embeds.then_some(3.5))?;
            let shape = [1, canvas.image_tokens(), config.in_channels];
            if args.calibration {
                return args.print(calibration::measure(
                    args,
                    &device,
                    Variant::Flux,
                    &flux,
                    &sampler,
                    shape,
                    cond,
                )?);
            }
            measure(args, &device, &flux, &sampler, shape, cond)
        }
    }?;
    args.print(outcome.with_attention(size.attention(), attention))
}

fn measure<const D: usize, M: Denoiser<D>, S: Sampler<D>>(
    args: &Args,
    device: &OpenDevice,
    model: &M,
    sampler: &S,
    shape: [usize; D],
    cond: M::Cond,
) -> Result<Outcome> {
    let topology = model.topology();
    let prepared = args.prepare(&topology, sampler.steps())?;
    let schedule = Arc::new(prepared.plan.schedule(&topology)?);
    let noise: Tensor<D> = GaussianNoise::seeded(args.seed).draw(shape, device);
    let subject = Subject { model, sampler, noise, cond, schedule, device };
    let (rounds, warm_up) = (args.rounds as usize, args.warm_up as usize);
    let progress = bar(subject.trajectories(rounds, warm_up), "timing (trajectories)");
    let measured = subject.measure(rounds, warm_up, &|| progress.inc(1))?;
    progress.finish_and_clear();
    Outcome::new(args, device, topology.model, &prepared, &measured)
}

impl Args {
    fn print(&self, outcome: impl Serialize + fmt::Display) -> Result<ExitCode> {
        if self.json {
            say(serde_json::to_string_pretty(&outcome)?)?;
        } else {
            say(outcome)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Steps as asked for, as planned, or as usual.
    fn steps(&self, topology: &Topology, usual: usize) -> Result<usize> {
        let asked = self.num_inference_steps.map(|steps| steps as usize);
        let planned = self.read_plan(topology)?.map(|plan| plan.full_steps());
        if let (Some(asked), Some(planned)) = (asked, planned) {
            ensure!(asked == planned, "--num-inference-steps {asked}: the plan has {planned} steps");
        }
        Ok(asked.or(planned).unwrap_or(usual))
    }

    fn prepare(&self, topology: &Topology, steps: usize) -> Result<Prepared> {
        let plan = match self.read_plan(topology)? {
            Some(plan) => plan,
            None => CachePlan::gate_only(topology, uniform_gate(steps, steps.div_ceil(2))?),
        };
        let predicted_speedup = Cost::of(&plan, topology)?.speedup();
        let peak_cache_bytes = plan.schedule(topology)?.peak_bytes(1, self.dtype.burn().size());
        Ok(Prepared { plan, predicted_speedup, peak_cache_bytes })
    }

    fn read_plan(&self, topology: &Topology) -> Result<Option<CachePlan>> {
        let Some(path) = &self.plan else { return Ok(None) };
        let plan = Source::read(path).and_then(|source| source.plan(Some(topology)));
        Ok(Some(plan.with_context(|| format!("--plan {}", path.display()))?))
    }
}
