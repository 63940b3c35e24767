//! `invardiff generate`: images of classes or prompts, with or without a plan.

mod job;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::DeviceArg;
use crate::commands::labels;
use crate::commands::request::{self, PromptFlags};
use crate::progress::Bars;
use anyhow::{Context, Result, ensure};
use invardiff::{ClassToImage, ModelFacts, SamplerKind, TextToImage, Use, files};
use invardiff_plan::CachePlan;

use job::{Columns, GenerateJob, Stochastic};
use output::{Asked, Format};

const HELP: &str = "\
Examples:
  invardiff generate --out grid.png
      Ten images of the embedded Fashion-MNIST model, without a plan
  invardiff generate --model emoji --class-labels face,heart,0-2 --images-per-class 4 --out emoji.png
  invardiff generate --plan out/fashion/plan.json --class-labels 3,5 --out grid.png
      Model, sampler, steps and guidance are those that the plan was made for
  invardiff generate --model facebook/DiT-XL-2-256 --class-labels 207,360 --out dogs.png
  invardiff generate --model black-forest-labs/FLUX.1-dev --prompt 'a red panda' --dtype bf16 --out panda.png

The PNG has its settings in text chunks: model, weights_sha256, seed, sampler, num_inference_steps, eta, guidance_scale,
dtype, batch_size, plan (fingerprint or none), plan_forced, Software; for classes class_labels and images_per_class; for prompts
prompts, negative_prompt, true_cfg_scale, images_per_prompt, height, width, max_sequence_length. A .safetensors file
has the tensors samples, seeds and, for classes, class_labels, and the same facts as JSON under the metadata key invardiff.
Samples of FLUX are its packed latents.

The run of a model in files prints the memory that it will take to standard error before it loads anything; any run stops if
that is not available (on the CPU; on other devices with --memory-limit alone).

--json prints one object: these facts (software in lower case), and file, images, seconds, plan_file, skipped_steps,
predicted_speedup (two decimals), peak_cache_bytes (measured, of one batch).";

/// Draw images of given classes or prompts, with or without a plan
///
/// Image n (row by row, from 0) starts from the noise of seed + n, whatever else is drawn. Another batch size changes
/// only the rounding of sums, so the last bits.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub (owner/name); by
    /// default the plan's model, or fashion
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The plan to replay (any format that `plan show` reads); without one everything is computed
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Classes, one per column: numbers, ranges (0-9), the model's class names, none; by default the first ten
    #[arg(long, value_name = "LABELS")]
    class_labels: Option<String>,
    /// Rows of the grid; each has one image per class or prompt
    #[arg(long, alias = "images-per-prompt", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    images_per_class: u32,
    /// The file to write: .png for an image or a grid of them, .safetensors for the samples
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Seed of the first image's noise
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    seed: u64,
    /// Steps of the sampler; by default the plan's, or as published: 50 for DiT, 28 for FLUX.1-dev, 4 for FLUX.1-schnell
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    num_inference_steps: Option<u32>,
    /// Guidance scale (1: none); by default the plan's, or the model's own (3.5 for FLUX.1-dev, which takes it as an input)
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true)]
    guidance_scale: Option<f32>,
    /// The sampler; by default the plan's, or ddim for DiT and flow-match-euler for FLUX
    #[arg(long, value_parser = crate::args::sampler())]
    sampler: Option<SamplerKind>,
    /// eta of ddim: the share of fresh noise added at every step, 0 to 1; a plan can be replayed with 0 only
    #[arg(long, default_value_t = 0.0, value_name = "ETA")]
    eta: f64,
    /// Replay a plan even if it was made for another model, time grid or guidance; the output records that
    #[arg(long, requires = "plan")]
    force: bool,
    /// Cache features in half precision
    #[arg(long, value_enum, value_name = "DTYPE", requires = "plan")]
    cache_dtype: Option<super::calibrate::CacheDtype>,
    /// Images drawn at once; by default 5 for DiT, 1 for FLUX
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: Option<u32>,
    #[command(flatten)]
    prompts: PromptFlags,
    #[command(flatten)]
    device: DeviceArg,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When a flag, the plan or the model does not fit, or the file cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let format = Format::of(&args.out)?;
    files::check_writable(&args.out).context("--out")?;
    let mut asked = args.prompts.request();
    asked.model.clone_from(&args.model);
    asked.plan.clone_from(&args.plan);
    asked.sampler = args.sampler;
    asked.num_inference_steps = request::steps(args.num_inference_steps);
    asked.guidance_scale = args.guidance_scale;
    asked.eta = args.eta;
    let (device, bars) = (args.device.open()?, Bars::default());
    let resolved = asked.resolve(&bars)?;
    if !resolved.model.draws_prompts() {
        // With eta, noise has one seed per batch, so a batch is one image.
        let asked_batch = args.batch_size.map_or(ClassToImage::DEFAULT_BATCH, |batch| batch as usize);
        let batch = if args.eta > 0.0 { 1 } else { asked_batch };
        let (pipeline, plan) = resolved.classes(&asked, Use::Draw { batch }, &device, &bars)?;
        return classes(args, pipeline, plan, batch)?.draw(args, format);
    }
    ensure!(
        args.class_labels.is_none(),
        "--class-labels: the model is FLUX, which draws prompts (--prompt) and knows no classes"
    );
    let prompts = asked.prompts.texts(&[])?;
    let batch = args.batch_size.map_or(1, |batch| batch as usize);
    let (pipeline, plan) = resolved.prompts(&asked, &prompts, Use::Draw { batch }, &device, &bars)?;
    prompted(args, pipeline, plan, batch)?.draw(args, format)
}

/// The job of a DiT: subjects, pipeline and facts.
fn classes(
    args: &Args,
    pipeline: ClassToImage,
    plan: Option<CachePlan>,
    batch: usize,
) -> Result<GenerateJob<4, ClassToImage>> {
    let config = pipeline.model().config();
    let columns = match &args.class_labels {
        Some(text) => labels::parse(text, config)?,
        None => (0..config.num_classes.min(10)).collect(),
    };
    let null = config.num_classes;
    let name =
        |label: &usize| if *label == null { "none".into() } else { pipeline.model().class_name(*label) };
    let names = columns.iter().map(name).collect();
    let asked =
        Asked::Classes { class_labels: columns.clone(), images_per_class: args.images_per_class as usize };
    let stochastic: Stochastic<ClassToImage> = |pipeline, eta, seed| {
        if eta > 0.0 { Ok(Some(pipeline.with_eta(eta, seed)?)) } else { Ok(None) }
    };
    let columns = Columns { subjects: columns, names, flag: "--class-labels and --images-per-class" };
    GenerateJob::new(args, pipeline, plan, columns, asked, batch, stochastic)
}

/// The job of FLUX: prompts, pipeline and facts.
fn prompted(
    args: &Args,
    pipeline: TextToImage,
    plan: Option<CachePlan>,
    batch: usize,
) -> Result<GenerateJob<3, TextToImage>> {
    let run = pipeline.execution();
    let asked = Asked::Prompts {
        prompts: pipeline.prompts().iter().map(|prompt| prompt.text().to_owned()).collect(),
        negative_prompt: args.prompts.negative_prompt.clone(),
        true_cfg_scale: pipeline.true_cfg_scale().and_then(output::shortest),
        images_per_prompt: args.images_per_class as usize,
        height: run.height,
        width: run.width,
        max_sequence_length: pipeline.canvas().text_tokens,
    };
    let subjects = pipeline.prompts().to_vec();
    let columns = Columns { subjects, names: Vec::new(), flag: "--prompt and --images-per-prompt" };
    GenerateJob::new(args, pipeline, plan, columns, asked, batch, |_, _, _| Ok(None))
}
