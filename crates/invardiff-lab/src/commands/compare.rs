//! `invardiff compare`: methods at several settings on one model, against two references.

mod bench;
mod entrants;
mod family;
mod knee;
mod method;
mod present;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::{Pipeline, ReferenceClassifier, SamplerKind};
use invardiff_eval::{Backbone, Lpips};
use invardiff_plan::CachePlan;
use invardiff_report::Study;
use ndarray::Array4;

use super::request::{ModelSource, PromptFlags, RunRequest, Work};
use crate::args::DeviceArg;
use crate::compare::{Pictures, draw};
use crate::held_out::HELD_OUT;
use crate::progress::bar;
use crate::stdout::say;
use method::Method;

const HELP: &str = "\
Examples:
  invardiff compare
      The embedded Fashion-MNIST model, DDIM-50, every method at its default settings; everything lands in out/compare-fashion
  invardiff compare --method fora=2,3,4 --method teacache=0.1,0.2,0.4 --images 50
  invardiff compare --method dpm-solver++/25+teacache=0.1,0.2
      A method on top of another solver with fewer steps
  invardiff compare --also plans-trained=routers-plan.json,block-cache-plan.json
      Everything, and plans of one's own: of route train, say
  invardiff compare --checks
      The paper's own checks of its rule: phases, thresholds, calibration runs, kinds of modules, guidance, boundary rules

Methods, with the number that is listed after `=`:
  ddim, dpm-solver++ (steps), uniform, extrapolated, least-error (computed steps), paper, paper-phase1, paper-unguided,
  paper-flux-rules, paper-wan-rules (step quantile), SOLVER-times, random (steps), paper-gate, paper-modules, paper-KIND (quantile), paper-runs (runs),
  fora, taylorseer-ORDER (interval), smoothcache (alpha), teacache, first-block, dbcache-FIRST-LAST, magcache (threshold),
  plans-NAME (plan files; scale-shift vectors that lie beside a plan are applied).
Any of them after SAMPLER/STEPS+ sits on that solver. docs/baselines.md says what each does.

--json prints one object: the whole study, as study.json has it.";

/// Compare methods at several settings: speed against quality, with fewer steps always drawn
///
/// Draws held-out images from the same noise by every method, in turns in one process and one image at a time, and holds
/// them against the full run and against the converged trajectory. Whatever a method is calibrated from is measured here on
/// other seeds. Writes a page, its charts, the images at equal compute, and all numbers.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights (.safetensors, .pt, or a folder), or the id of a
    /// repository on a hub (owner/name)
    #[arg(long, default_value = "fashion", value_name = "MODEL")]
    model: String,
    /// Steps of the full run; by default as published: 50 for DiT, 28 for FLUX.1-dev, 4 for FLUX.1-schnell
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=1000))]
    num_inference_steps: Option<u32>,
    /// The full run's sampler; by default ddim for DiT and flow-match-euler for FLUX
    #[arg(long, value_parser = crate::args::sampler())]
    sampler: Option<SamplerKind>,
    /// Guidance scale (1: none); by default the model's own
    #[arg(long, value_name = "SCALE")]
    guidance_scale: Option<f32>,
    /// A method with its settings; may be repeated. By default all, at settings for about 50 steps
    #[arg(long = "method", value_name = "METHOD=V,V,..")]
    methods: Vec<Method>,
    /// A method besides those drawn by default; may be repeated
    #[arg(long, value_name = "METHOD=V,V,..", conflicts_with = "methods")]
    also: Vec<Method>,
    /// The paper's own checks instead
    #[arg(long, conflicts_with = "methods")]
    checks: bool,
    #[command(flatten)]
    files: bench::Files,
    /// Trajectories that methods are calibrated on, of the classes or prompts in turn; by default 16 classes, or every prompt once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    runs: Option<u32>,
    #[command(flatten)]
    prompts: PromptFlags,
    /// Held-out images to compare on
    #[arg(long = "images", alias = "pictures", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pictures: u32,
    /// Steps of the converged trajectory, the second reference (0: draw none); 999 are the most that DPM-Solver++ takes
    #[arg(long, default_value_t = 999, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    converged_steps: u32,
    /// LPIPS weights (safetensors); without them LPIPS is left out
    #[arg(long, value_name = "FILE")]
    lpips: Option<PathBuf>,
    /// The backbone of the LPIPS weights
    #[arg(long, value_enum, default_value_t, requires = "lpips")]
    lpips_backbone: LpipsBackbone,
    /// A classifier of `train-classifier`, for class accuracy and Fréchet distance; by default the embedded model's own
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// Seed of the first calibration run's noise; images use other seeds
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArg,
    /// The folder for everything written; by default out/compare-MODEL
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum LpipsBackbone {
    /// AlexNet
    #[default]
    Alex,
    /// SqueezeNet 1.1
    Squeeze,
}

impl LpipsBackbone {
    const fn backbone(self) -> Backbone {
        match self {
            Self::Alex => Backbone::Alex,
            Self::Squeeze => Backbone::Squeeze,
        }
    }
}

impl Args {
    /// How many trajectories methods are calibrated on.
    fn runs<const D: usize, P: Pipeline<D>>(&self, full: &P) -> usize {
        self.runs.map_or_else(|| full.default_runs(), |runs| runs as usize)
    }
}

/// Runs the command.
///
/// # Errors
/// When the model or a file cannot be loaded, a method's setting does not fit, or a file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let wanted = RunRequest {
        model: Some(&args.model),
        sampler: args.sampler,
        num_inference_steps: args.num_inference_steps,
        guidance_scale: args.guidance_scale,
        ..RunRequest::of(&args.prompts)
    };
    let (choice, device) = (wanted.resolve()?, args.device.open()?);
    let critic = match (&args.classifier, &choice.model) {
        (Some(path), _) => Some(ReferenceClassifier::read(path, &device).context("--classifier")?),
        (None, ModelSource::Embedded(embedded)) => embedded.reference_classifier(&device)?,
        (None, ModelSource::Dit(_) | ModelSource::Flux(_)) => None,
    };
    choice.work(&wanted, &device, Comparison { args, critic })
}

/// What is compared, and what judges classes.
struct Comparison<'a> {
    args: &'a Args,
    critic: Option<ReferenceClassifier>,
}

impl Work for Comparison<'_> {
    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, _: Option<CachePlan>) -> Result<ExitCode> {
        let Self { args, critic } = self;
        let folder =
            args.out.clone().unwrap_or_else(|| PathBuf::from("out").join(format!("compare-{}", full.name())));
        std::fs::create_dir_all(&folder).with_context(|| format!("--out {}", folder.display()))?;
        let study = study(args, full, critic)?;
        let page = study.write(&folder)?;
        if args.json {
            say(serde_json::to_string_pretty(&study)?)?;
        } else {
            say(format_args!(
                "{}\n{}\n\n{}\nreport {}",
                study.title,
                study.subtitle,
                study.text(),
                page.display()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Draws and compares.
fn study<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    critic: Option<ReferenceClassifier>,
) -> Result<Study> {
    let lpips = args
        .lpips
        .as_ref()
        .map(|path| Lpips::load(path, args.lpips_backbone.backbone(), full.device()))
        .transpose()
        .context("--lpips")?;
    let entrants = entrants::entrants(args, full)?;
    let pictures = args.pictures as usize;
    let subjects: Vec<P::Subject> = (0..pictures).map(|picture| full.subject(picture)).collect();
    let first = args.seed.wrapping_add(HELD_OUT);
    let seeds: Vec<u64> = (0..pictures as u64).map(|picture| first.wrapping_add(picture)).collect();
    let wanted = Pictures { subjects: &subjects, seeds: &seeds, batch: 1 };
    let converged = converged(args, full, &wanted)?;
    let progress = bar(entrants.candidates.len() * pictures, "comparing (images)");
    let reference = converged.as_ref().map(|(_, pictures)| pictures);
    let evaluated = crate::compare(&entrants.candidates, &wanted, reference, &|| progress.inc(1))?;
    progress.finish_and_clear();
    let names = subjects.iter().map(|subject| full.describe(subject)).collect();
    let classes = subjects.iter().map(|subject| full.class(subject)).collect();
    let extras = present::Extras { names, classes, lpips, critic };
    present::study(args, full, &entrants, &evaluated, converged, &extras)
}

/// The images of many steps of the best solver that the model has, where all of its solvers lead, and its name.
fn converged<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    wanted: &Pictures<'_, P::Subject>,
) -> Result<Option<(String, Array4<f32>)>> {
    let steps = args.converged_steps as usize;
    let Some(solver) = full.solvers().last().filter(|_| steps > 0) else { return Ok(None) };
    let pipeline = full.with_sampler(*solver, steps).context("--converged-steps")?;
    let progress = bar(wanted.seeds.len(), "drawing the converged images");
    let pictures = draw(&pipeline, wanted, &|| progress.inc(1))?;
    progress.finish_and_clear();
    let name = format!("{steps} steps of {}", invardiff_runtime::Sampler::name(pipeline.sampler()));
    Ok(Some((name, pictures)))
}
