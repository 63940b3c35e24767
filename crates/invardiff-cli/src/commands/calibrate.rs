//! `invardiff calibrate`: measure, plan, compare, report.

mod baselines;
mod fitted;
mod goal;
mod least_error;
mod measure;
mod present;
mod trace;

pub(crate) use goal::CacheDtype;
use measure::PlanRule;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::DeviceArg;
use crate::commands::request::{self, PromptFlags};
use crate::stdout::say;
use anyhow::{Context, Result, ensure};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use invardiff::{Pipeline, PipelineWork, Preset, SamplerKind, files};
use invardiff_plan::formats::{AuthorBook, BookLayout, BookName, BookVersion};
use invardiff_plan::two_phase::{Settings, Variant, WarmUp};
use invardiff_plan::{CachePlan, Kind};
use invardiff_runtime::{Denoiser, Sampler};

const EXAMPLES: &str = "\
Examples:
  invardiff calibrate
      The embedded Fashion-MNIST model, DDIM-50: a fitted plan at the compute of the published fast setting; writes to out/fashion
  invardiff calibrate --method paper
      The published rule's plan, which is also written beside any other as paper.json
  invardiff calibrate --model emoji --preset paper-slow
  invardiff calibrate --model DiT-XL-2-256x256.pt --runs 4 --calibrate-unguided --out out/xl
  invardiff calibrate --step-quantile 0.5 --quantile msa=0.3 --quantile mlp=0.1 --warm-up 3
  invardiff calibrate --model black-forest-labs/FLUX.1-dev --prompts prompts.txt --dtype bf16 --images 5 --converged-steps 0
  invardiff calibrate --target-speedup 2.5
      A plan of least error with a speed-up of 2.5, instead of the published rule's
  invardiff calibrate --max-latency 120 --guard 0.06
      A plan of least error that draws an image in 120 ms on this machine; hard images may compute 6 % of all steps in addition
  invardiff calibrate --cache-budget 200kB --cache-dtype f16
  invardiff calibrate --toward converged --target-speedup 2.6
      A fitted plan with a speed-up of 2.6, fitted towards the converged images";

/// Measure a model, make the plan that wins, compare it on held-out images and report
///
/// Samples a few conditions and makes plans of the same compute: the published rule's (arXiv 2512.05134, its fast setting), the
/// one of least error, and a fitted one. Draws held-out images with the plan, without it, with the other plans and with fewer
/// steps of solvers, and writes plan, images and report.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights (.safetensors, .pt, or a folder), or the id of a
    /// repository on a hub (owner/name)
    #[arg(long, default_value = "fashion", value_name = "MODEL")]
    model: String,
    /// Steps of the sampler; by default as published: 50 for DiT, 28 for FLUX.1-dev, 4 for FLUX.1-schnell
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=1000))]
    num_inference_steps: Option<u32>,
    /// The sampler; by default ddim for DiT and flow-match-euler for FLUX
    #[arg(long, value_parser = crate::args::sampler())]
    sampler: Option<SamplerKind>,
    /// Trajectories to measure, of the classes or prompts in turn; by default 16 classes as published, or every prompt once
    /// (5 were published)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    runs: Option<u32>,
    /// Which plan to make. By default the fitted one, unless the one of least error comes nearer; with a goal, least-error; with a
    /// setting of the published rule (--preset, a quantile, --warm-up, --calibrate-unguided) or --cache-budget, paper
    #[arg(long, value_enum, value_name = "METHOD")]
    method: Option<Method>,
    /// The published quantiles and warm-up to start from; by default paper-fast
    #[arg(long, value_parser = preset())]
    preset: Option<Preset>,
    /// Quantile of the step gate, instead of the preset's (0 skips no step)
    #[arg(long, value_name = "Q")]
    step_quantile: Option<f64>,
    /// Quantile of a module kind, instead of the preset's; may be repeated (0 reuses none)
    #[arg(long = "quantile", value_name = "KIND=Q", value_parser = kind_quantile)]
    quantiles: Vec<(Kind, f64)>,
    #[command(flatten)]
    goal: goal::GoalFlags,
    #[command(flatten)]
    means: goal::Means,
    /// Make a fitted plan (its own times and weights) for the goal, towards the full run or the converged trajectory;
    /// without a goal, at the compute of the published rule's plan. By default towards the converged trajectory
    #[arg(long, value_enum, value_name = "TARGET", conflicts_with_all = ["cache_budget"])]
    toward: Option<fitted::Toward>,
    /// Number of first steps that are always computed, instead of the preset's
    #[arg(long, value_name = "N")]
    warm_up: Option<usize>,
    /// Guidance scale (1: none); by default the model's own
    #[arg(long, value_name = "SCALE")]
    guidance_scale: Option<f32>,
    /// Measure the conditional half alone, as the authors' DiT script does; images are still drawn with guidance
    #[arg(long)]
    calibrate_unguided: bool,
    /// Seed of the first run's noise; images for the comparison use other seeds
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Held-out images to compare on
    #[arg(long = "images", alias = "pictures", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    images: u32,
    /// Steps of the converged images that every row is also compared with (0: draw none)
    #[arg(long, default_value_t = 250, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    converged_steps: u32,
    #[command(flatten)]
    prompts: PromptFlags,
    #[command(flatten)]
    device: DeviceArg,
    /// The output folder; by default out/MODEL
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Which plan is asked for; `None` for the one that wins.
    ///
    /// # Errors
    /// When two flags ask for different plans.
    fn wanted(&self) -> Result<Option<PlanRule>> {
        let published = self.preset.is_some()
            || self.step_quantile.is_some()
            || !self.quantiles.is_empty()
            || self.warm_up.is_some()
            || self.calibrate_unguided
            || self.means.budget().is_some();
        let fitted = self.method == Some(Method::Fitted);
        ensure!(self.toward.is_none() || self.method.is_none() || fitted, "--toward is for --method fitted");
        ensure!(
            !fitted || self.means.budget().is_none(),
            "--cache-budget is for the other methods than fitted"
        );
        if self.method == Some(Method::Paper)
            && let Some(flag) = self.goal.flag()
        {
            anyhow::bail!(
                "{flag}: the published rule reaches no goal; its compute follows from --step-quantile"
            );
        }
        Ok(match (self.method, self.toward) {
            (Some(Method::Fitted), _) | (None, Some(_)) => Some(PlanRule::Fitted),
            (Some(Method::LeastError), _) => Some(PlanRule::LeastError),
            (Some(Method::Paper), _) => Some(PlanRule::Paper),
            (None, None) if self.goal.is_set() => Some(PlanRule::LeastError),
            (None, None) if published => Some(PlanRule::Paper),
            (None, None) => None,
        })
    }

    /// Checks what can be known of the flags before the model runs.
    ///
    /// # Errors
    /// When a value is out of the range that this number of steps has.
    fn check(&self, steps: usize) -> Result<()> {
        self.goal.check(steps)?;
        self.means.guard()?;
        if let Some(warm_up) = self.warm_up.filter(|warm_up| *warm_up > steps) {
            anyhow::bail!("--warm-up is {warm_up}, expected at most the {steps} steps of the run");
        }
        let own = self.quantiles.iter().map(|(kind, quantile)| (format!("--quantile {kind}"), *quantile));
        let gate = self.step_quantile.map(|quantile| ("--step-quantile".to_owned(), quantile));
        for (flag, quantile) in gate.into_iter().chain(own) {
            ensure!((0.0..=1.0).contains(&quantile), "{flag} is {quantile}, expected 0 to 1");
        }
        Ok(())
    }

    /// The number of trajectories to measure.
    fn runs<const D: usize, P: Pipeline<D>>(&self, full: &P) -> usize {
        self.runs.map_or_else(|| full.default_runs(), |runs| runs as usize)
    }
}

/// How a plan is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    /// Times and weights fitted in closed form.
    Fitted,
    /// Skips chosen by their measured error.
    LeastError,
    /// The published rule.
    Paper,
}

/// Parses the name of a preset.
fn preset() -> impl TypedValueParser<Value = Preset> {
    let values = [
        PossibleValue::new("paper-fast")
            .help("DiT: step quantile 0.63, modules 0.22. FLUX: 0.7 and 0.68, a tenth of the steps as warm-up"),
        PossibleValue::new("paper-slow").help(
            "DiT: 0.61 and 0.20. FLUX: 0.72, attention 0.68, feed-forward 0.66, single mlp 0.62, context feed-forward \
             computed, 0.22 of the steps as warm-up",
        ),
    ];
    let named = |name: String| if name == "paper-slow" { Preset::PaperSlow } else { Preset::PaperFast };
    PossibleValuesParser::new(values).map(named)
}

fn kind_quantile(text: &str) -> Result<(Kind, f64), String> {
    let (kind, quantile) = text.split_once('=').ok_or("expected KIND=Q, such as msa=0.3")?;
    let kind = Kind::parse(kind).map_err(|error| error.to_string())?;
    let quantile: f64 = quantile.parse().map_err(|_| format!("'{quantile}' is not a number"))?;
    Ok((kind, quantile))
}

/// Runs the command.
///
/// # Errors
/// When the model cannot be loaded, a setting does not fit it, or a file cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut asked = args.prompts.request();
    asked.runs = request::steps(args.runs);
    asked.model = Some(args.model.clone());
    asked.sampler = args.sampler;
    asked.num_inference_steps = request::steps(args.num_inference_steps);
    asked.guidance_scale = args.guidance_scale;
    request::work(&asked, args.device, args)
}

impl PipelineWork for &Args {
    type Output = Result<ExitCode>;

    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, _: Option<CachePlan>) -> Result<ExitCode> {
        let folder = self.out.clone().unwrap_or_else(|| PathBuf::from("out").join(full.name()));
        self.check(full.sampler().steps())?;
        std::fs::create_dir_all(&folder).with_context(|| format!("--out {}", folder.display()))?;
        files::check_writable(&folder.join("report.html")).context("--out")?;

        let measured = measure::measure(self, full)?;
        write_book(&measured.paper.plan, full.variant(), &folder)?;
        measured.least.plan.write(folder.join("least-error.json"))?;
        measured.least.atlas.write(folder.join("skips.atlas"))?;
        measured.paper.plan.write(folder.join("paper.json"))?;
        if let Some(fitted) = &measured.fitted {
            fitted.found.plan.write(folder.join("fitted.json"))?;
            fitted.found.atlas.write(folder.join("target.gram"))?;
        }
        measured.plan().write(folder.join("plan.json"))?;
        measured.plan().write(folder.join("plan.bin"))?;

        let comparison = baselines::compare(self, full, &measured)?;
        let report = present::report(self, full, &measured, &comparison)?;
        let page = report.write(&folder)?;
        if self.json {
            say(present::json(&report, &measured, &folder)?)?;
        } else {
            say(present::summary(&report, &measured, &page))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the plan in the authors' format, under their kind of file name.
fn write_book(plan: &CachePlan, variant: Variant, folder: &std::path::Path) -> Result<()> {
    let layout = match variant {
        Variant::Dit => BookLayout::Dit,
        Variant::Flux => BookLayout::Flux,
        Variant::Wan => BookLayout::Wan,
    };
    let book = AuthorBook::from_plan(plan, layout, BookVersion::V1)?;
    let name = BookName::of(plan, layout, "").map_or_else(|| "book.json".into(), |name| name.to_string());
    Ok(invardiff::files::write(&folder.join(name), book.to_json().as_bytes())?)
}

/// The settings of the published rule: one quantile for every stream of the model, from its flag or the preset.
fn settings<const D: usize, P: Pipeline<D>>(args: &Args, full: &P) -> Result<Settings> {
    let variant = full.variant();
    let mut settings =
        args.preset.unwrap_or(Preset::PaperFast).settings(variant, &full.denoiser().topology());
    for (kind, quantile) in &args.quantiles {
        let known = settings.quantiles.keys().map(Kind::as_str).collect::<Vec<_>>().join(", ");
        let slot = settings.quantiles.get_mut(kind);
        let slot = slot.with_context(|| format!("--quantile {kind}: the model has {known}"))?;
        *slot = *quantile;
    }
    settings.gate_quantile = args.step_quantile.unwrap_or(settings.gate_quantile);
    for (flag, quantile) in std::iter::once(("--step-quantile".to_owned(), settings.gate_quantile))
        .chain(settings.quantiles.iter().map(|(kind, quantile)| (format!("--quantile {kind}"), *quantile)))
    {
        ensure!((0.0..=1.0).contains(&quantile), "{flag} is {quantile}, expected a number from 0 to 1");
    }
    settings.warm_up = args.warm_up.map_or(settings.warm_up, WarmUp::Steps);
    Ok(settings)
}
