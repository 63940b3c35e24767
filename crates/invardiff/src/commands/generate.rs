//! `invardiff generate`: pictures from a class-conditional model, with or without a plan.

pub(in crate::commands) mod labels;
mod output;
pub(in crate::commands) mod wanted;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use invardiff_eval::{GridLayout, picture_grid, rgb_images};
use invardiff_plan::{CachePlan, Cost};
use invardiff_runtime::{Denoiser, Sampler};
use ndarray::{Array4, Axis};
use serde_json::json;

use crate::stdout::say;
use crate::{ClassToImage, DeviceChoice, Pipeline, SamplerKind, SamplingOptions, bar, files, to_array};
use output::{Facts, Format};
use wanted::Wanted;

const HELP: &str = "\
Examples:
  invardiff generate --out grid.png
      Ten pictures of the embedded Fashion-MNIST model, everything computed
  invardiff generate --model emoji --class-labels face,heart,0-2 --images-per-class 4 --out emoji.png
  invardiff generate --plan out/fashion/plan.json --class-labels 3,5 --out grid.png
      Model, sampler, steps and guidance are those that the plan was made for
  invardiff generate --model DiT-XL-2-256x256.pt --class-labels 207,360 --out latents.safetensors

The PNG says what made it in text chunks: model, weights_sha256, class_labels, images_per_class, seed, sampler,
num_inference_steps, eta, guidance_scale, batch_size, plan (fingerprint or none), plan_forced, Software. A .safetensors file has the
tensors samples, class_labels and seeds, and the same facts as JSON under the metadata key invardiff.

--json prints one object: these facts (software in lower case), and file, pictures, seconds, plan_file, skipped_steps,
predicted_speedup (two decimals), peak_cache_bytes (measured, of one batch).";

/// Draw pictures of given classes, with or without a plan
///
/// Picture n (row by row, from 0) starts from the noise of seed + n, whatever else is drawn. Another batch size changes
/// how sums are rounded, and so last bits only.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// `fashion` or `emoji` (embedded), or the path of DiT weights; by default the plan's model, or fashion
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The plan to replay (any format that `plan show` reads); without one everything is computed
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Classes, one a column: numbers, ranges (0-9), the model's class names, none; by default the first ten
    #[arg(long, value_name = "LABELS")]
    class_labels: Option<String>,
    /// Rows of pictures
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    images_per_class: u32,
    /// The file to write: .png for a grid of pictures, .safetensors for the samples
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Seed of the first picture's noise
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    seed: u64,
    /// Steps of the sampler; by default the plan's, or 50
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    num_inference_steps: Option<u32>,
    /// Guidance scale (1: none); by default the plan's, or the model's own
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true)]
    guidance_scale: Option<f32>,
    /// The sampler; by default the plan's, or ddim
    #[arg(long, value_enum)]
    sampler: Option<SamplerKind>,
    /// Share of fresh noise that ddim adds at every step, 0 to 1; a plan can be replayed with 0 only
    #[arg(long, default_value_t = 0.0, value_name = "ETA")]
    eta: f64,
    /// Replay a plan that was made for another model, time grid or guidance; the output says so
    #[arg(long, requires = "plan")]
    force: bool,
    /// Keep features in half precision
    #[arg(long, value_enum, value_name = "DTYPE", requires = "plan")]
    cache_dtype: Option<super::calibrate::CacheDtype>,
    /// Pictures drawn at once
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: u32,
    /// Where to compute
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    json: bool,
}

/// The most pictures of one command.
const MOST: usize = 100_000;

/// What is to be drawn.
struct Order {
    pipeline: ClassToImage,
    /// The plan, and in what it was made for another run.
    plan: Option<(CachePlan, Vec<String>)>,
    columns: Vec<usize>,
    labels: Vec<usize>,
    seeds: Vec<u64>,
}

/// Runs the command.
///
/// # Errors
/// When a flag, the plan or the model does not fit, or the file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let format = Format::of(&args.out)?;
    files::check_writable(&args.out).context("--out")?;
    let order = order(args)?;
    format.suits(order.pipeline.model().config(), &args.out)?;
    let start = Instant::now();
    let (samples, peak) = draw(args, &order)?;
    let seconds = start.elapsed().as_secs_f64();
    let facts = facts(args, &order)?;
    let bytes = match format {
        Format::Png => output::png(&grid(&order, &samples)?, &facts)?,
        Format::Safetensors => output::samples(&samples, &order.labels, &order.seeds, &facts)?,
    };
    files::write(&args.out, &bytes).context("--out")?;
    report(args, &order, &facts, seconds, peak)?;
    Ok(ExitCode::SUCCESS)
}

/// Resolves what the flags leave open from the plan and the model.
fn order(args: &Args) -> Result<Order> {
    let wanted = Wanted {
        model: args.model.as_deref(),
        plan: args.plan.as_deref(),
        sampler: args.sampler,
        num_inference_steps: args.num_inference_steps.map(|steps| steps as usize),
        usual_steps: SamplingOptions::default().num_inference_steps,
        guidance_scale: args.guidance_scale,
        eta: args.eta,
    };
    let (mut pipeline, plan) = wanted.open(&args.device.open())?;
    let config = pipeline.model().config();
    let columns = match &args.class_labels {
        Some(text) => labels::parse(text, config)?,
        None => (0..config.num_classes.min(10)).collect(),
    };
    let count = columns.len() * args.images_per_class as usize;
    ensure!(
        count <= MOST,
        "--class-labels and --images-per-class ask for {count} pictures, more than {MOST}"
    );
    ensure!(
        args.seed.checked_add(MOST as u64).is_some(),
        "--seed {} is too large: picture n takes seed + n",
        args.seed
    );
    let plan =
        plan.map(|plan| Ok::<_, anyhow::Error>((enable(args, &mut pipeline, &plan)?, plan))).transpose()?;
    Ok(Order {
        pipeline,
        plan: plan.map(|(forced, plan)| (plan, forced)),
        labels: columns.iter().copied().cycle().take(count).collect(),
        columns,
        seeds: (args.seed..).take(count).collect(),
    })
}

/// Has the pipeline replay the plan; returns in what it was made for another run.
fn enable(args: &Args, pipeline: &mut ClassToImage, plan: &CachePlan) -> Result<Vec<String>> {
    let name = || format!("--plan {}", args.plan.as_deref().unwrap_or(&args.out).display());
    pipeline.sampler().deterministic().with_context(name)?;
    let found = if args.force {
        pipeline.force_cache(plan).with_context(name)?
    } else {
        pipeline.enable_cache(plan).with_context(name)?;
        Vec::new()
    };
    if let (Some(dtype), Some(schedule)) = (args.cache_dtype, pipeline.schedule()) {
        let stored = (**schedule).clone().storing(dtype.storage());
        pipeline.set_schedule(Some(stored.into()));
    }
    Ok(found.iter().map(ToString::to_string).collect())
}

/// Pictures drawn at once. The noise that eta adds is of one seed a batch, so that a batch is then one picture.
fn batch_size(args: &Args) -> usize {
    if args.eta > 0.0 { 1 } else { args.batch_size as usize }
}

/// Draws everything, batch by batch; also the most bytes that the cache of a batch held.
fn draw(args: &Args, order: &Order) -> Result<(Array4<f32>, usize)> {
    let batch = batch_size(args);
    let batches = order.labels.chunks(batch).zip(order.seeds.chunks(batch));
    let progress = bar(batches.len() * order.pipeline.sampler().steps(), "sampling (steps)");
    let (mut drawn, mut peak) = (Vec::<Array4<f32>>::new(), 0);
    for (labels, seeds) in batches {
        let stochastic = (args.eta > 0.0).then(|| order.pipeline.with_eta(args.eta, seeds[0])).transpose()?;
        let pipeline = stochastic.as_ref().unwrap_or(&order.pipeline);
        let (pictures, bytes) = pipeline.generate_with(labels, seeds, &mut || progress.inc(1))?;
        drawn.push(to_array(pictures)?);
        peak = peak.max(bytes);
    }
    progress.finish_and_clear();
    let views: Vec<_> = drawn.iter().map(|batch| batch.view()).collect();
    Ok((ndarray::concatenate(Axis(0), &views)?, peak))
}

/// One column a class, its name above it; many classes make a near-square grid instead.
fn grid(order: &Order, samples: &Array4<f32>) -> Result<image::RgbImage> {
    let model = order.pipeline.model();
    let [low, high] = model.config().pixel_range.unwrap_or([-1.0, 1.0]);
    let pictures = rgb_images(samples.mapv(|value| (value - low) / (high - low) * 2.0 - 1.0).view())?;
    let layout = if order.columns.len() > 16 {
        GridLayout::default()
    } else {
        let null = model.config().num_classes;
        let name = |label: &usize| if *label == null { "none".into() } else { model.class_name(*label) };
        let column_labels = order.columns.iter().map(name).collect();
        GridLayout { columns: Some(order.columns.len()), column_labels, ..GridLayout::default() }
    };
    Ok(picture_grid(&pictures, &layout)?)
}

fn facts(args: &Args, order: &Order) -> Result<Facts> {
    let pipeline = &order.pipeline;
    let (plan, plan_forced) = match &order.plan {
        Some((plan, forced)) => (plan.fingerprint()?, forced.clone()),
        None => ("none".to_owned(), Vec::new()),
    };
    Ok(Facts {
        model: pipeline.model().name.clone(),
        weights_sha256: pipeline.model().loaded.sha256.clone(),
        class_labels: order.columns.clone(),
        images_per_class: args.images_per_class as usize,
        seed: args.seed,
        sampler: pipeline.sampler().name(),
        num_inference_steps: pipeline.sampler().steps(),
        eta: args.eta,
        // By way of its shortest decimal, so that 2.1 is not written as 2.0999999.
        guidance_scale: pipeline.guidance_scale().and_then(|scale| scale.to_string().parse().ok()),
        batch_size: batch_size(args),
        plan,
        plan_forced,
        tool: format!("invardiff {}", env!("CARGO_PKG_VERSION")),
    })
}

fn report(args: &Args, order: &Order, facts: &Facts, seconds: f64, peak: usize) -> Result<()> {
    let topology = order.pipeline.denoiser().topology();
    let plan = order.plan.as_ref().map(|(plan, _)| plan);
    let speedup = plan.map(|plan| Cost::of(plan, &topology)).transpose()?.map(|cost| cost.speedup());
    let skipped = plan.map(CachePlan::skipped_steps);
    if args.json {
        let mut object = serde_json::to_value(facts)?;
        object["file"] = json!(args.out.display().to_string());
        object["pictures"] = json!(order.labels.len());
        object["seconds"] = json!(seconds);
        object["plan_file"] = json!(args.plan.as_ref().map(|path| path.display().to_string()));
        object["skipped_steps"] = json!(skipped);
        object["predicted_speedup"] = json!(speedup.map(super::plan::two_decimals));
        object["peak_cache_bytes"] = json!(peak);
        say(format_args!("{object:#}"))?;
        return Ok(());
    }
    let guidance = facts.guidance_scale.map_or("no guidance".to_owned(), |scale| format!("guidance {scale}"));
    say(format_args!(
        "{}: {} pictures of {} in {seconds:.2} s ({}, {} steps, {guidance})",
        args.out.display(),
        order.labels.len(),
        facts.model,
        facts.sampler,
        facts.num_inference_steps,
    ))?;
    if let (Some(skipped), Some(speedup)) = (skipped, speedup) {
        say(format_args!(
            "plan {}: {skipped} of {} steps skipped, predicted speed-up {speedup:.2}x, cache at most {} a batch",
            &facts.plan[..12],
            facts.num_inference_steps,
            super::plan::bytes(peak),
        ))?;
    }
    for forced in &facts.plan_forced {
        say(format_args!("note: forced although {forced}"))?;
    }
    Ok(())
}
