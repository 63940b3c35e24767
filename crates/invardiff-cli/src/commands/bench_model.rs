//! `invardiff bench-model`.

mod args;
mod calibration;
mod model;
mod outcome;

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use burn::tensor::Tensor;
use invardiff::OpenDevice;
use invardiff_lab::bench_model::{Subject, attention_path};
use invardiff_models::{Dit, Flux};
use invardiff_plan::two_phase::Variant;
use invardiff_runtime::{
    BatchedGuidance, Ddim, Denoiser, FlowMatchEuler, GaussianNoise, Sampler, Shift, Spacing,
};
use serde::Serialize;

use crate::progress::bar;
use crate::stdout::say;
use model::Size;
use outcome::Outcome;

pub(crate) use args::Args;

/// Runs the command.
///
/// # Errors
/// When the model, the plan or the device does not fit, or the device fails.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
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
}
