//! The flags of `invardiff compare`.

use std::path::PathBuf;

use invardiff::SamplerKind;
use invardiff_eval::Backbone;
use invardiff_lab::study::{MeasurementFiles, Method, StudyOptions};

use crate::args::DeviceArg;
use crate::commands::request::PromptFlags;

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
  invardiff compare --fitted --converged-steps 250
      Fitted plans of 50 to 16 % of the steps against DPM-Solver++ and UniPC at even and at their best times

Methods, with the number that is listed after `=`:
  ddim, dpm-solver++, unipc, unipc-3 (steps), uniform, extrapolated, least-error (computed steps), fitted, fitted-own (evaluations), paper, paper-phase1, paper-unguided,
  paper-flux-rules, paper-wan-rules (step quantile), SOLVER-times, random (steps), paper-gate, paper-modules, paper-KIND (quantile), paper-runs (runs),
  fora, taylorseer-ORDER, spectrum (interval), smoothcache (alpha), teacache, first-block, dbcache-FIRST-LAST, magcache (threshold),
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
pub(crate) struct Args {
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights (.safetensors, .pt, or a folder), or the id of a
    /// repository on a hub (owner/name)
    #[arg(long, default_value = "fashion", value_name = "MODEL")]
    pub(super) model: String,
    /// Steps of the full run; by default as published: 50 for DiT, 28 for FLUX.1-dev, 4 for FLUX.1-schnell
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=1000))]
    pub(super) num_inference_steps: Option<u32>,
    /// The full run's sampler; by default ddim for DiT and flow-match-euler for FLUX
    #[arg(long, value_parser = crate::args::sampler())]
    pub(super) sampler: Option<SamplerKind>,
    /// Guidance scale (1: none); by default the model's own
    #[arg(long, value_name = "SCALE")]
    pub(super) guidance_scale: Option<f32>,
    /// A method with its settings; may be repeated. By default all, at settings for about 50 steps
    #[arg(long = "method", value_name = "METHOD=V,V,..")]
    pub(super) methods: Vec<Method>,
    /// A method besides those drawn by default; may be repeated
    #[arg(long, value_name = "METHOD=V,V,..", conflicts_with = "methods")]
    pub(super) also: Vec<Method>,
    /// The paper's own checks instead
    #[arg(long, conflicts_with = "methods")]
    pub(super) checks: bool,
    /// The table of fitted plans instead: both targets, the other plans, and solvers at even and at their best times
    #[arg(long, conflicts_with_all = ["methods", "checks"])]
    pub(super) fitted: bool,
    #[command(flatten)]
    pub(super) files: Files,
    /// Trajectories that methods are calibrated on, of the classes or prompts in turn; by default 16 classes, or every prompt once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) runs: Option<u32>,
    #[command(flatten)]
    pub(super) prompts: PromptFlags,
    /// Held-out images to compare on
    #[arg(long = "images", alias = "pictures", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) images: u32,
    /// Steps of the converged trajectory, the second reference (0: draw none); 999 are the most that DPM-Solver++ takes
    #[arg(long, default_value_t = 999, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(super) converged_steps: u32,
    /// LPIPS weights (safetensors); without them LPIPS is left out
    #[arg(long, value_name = "FILE")]
    pub(super) lpips: Option<PathBuf>,
    /// The backbone of the LPIPS weights
    #[arg(long, value_enum, default_value_t, requires = "lpips")]
    pub(super) lpips_backbone: LpipsBackbone,
    /// A classifier of `train-classifier`, for class accuracy and Fréchet distance; by default the embedded model's own
    #[arg(long, value_name = "FILE")]
    pub(super) classifier: Option<PathBuf>,
    /// Seed of the first calibration run's noise; images use other seeds
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) device: DeviceArg,
    /// The folder for everything written; by default out/compare-MODEL
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LpipsBackbone {
    /// AlexNet
    #[default]
    Alex,
    /// SqueezeNet 1.1
    Squeeze,
}

impl LpipsBackbone {
    pub(super) const fn backbone(self) -> Backbone {
        match self {
            Self::Alex => Backbone::Alex,
            Self::Squeeze => Backbone::Squeeze,
        }
    }
}

/// Measurements that are read instead of made.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Files {
    /// The file that `fit teacache` wrote; measured by default
    #[arg(long, value_name = "FILE")]
    teacache: Option<PathBuf>,
    /// The file that `fit magcache` wrote; measured by default
    #[arg(long, value_name = "FILE")]
    magcache: Option<PathBuf>,
    /// The file that `fit smoothcache` wrote; measured by default
    #[arg(long, value_name = "FILE")]
    smoothcache: Option<PathBuf>,
}

impl Args {
    /// What is compared, and on which images.
    pub(super) fn options(&self) -> StudyOptions {
        let Files { teacache, magcache, smoothcache } = self.files.clone();
        let mut options = StudyOptions::default();
        options.methods.clone_from(&self.methods);
        options.also.clone_from(&self.also);
        options.checks = self.checks;
        options.fitted = self.fitted;
        options.files = MeasurementFiles { teacache, magcache, smoothcache };
        options.runs = self.runs.map(|runs| runs as usize);
        options.images = self.images as usize;
        options.converged_steps = self.converged_steps as usize;
        options.seed = self.seed;
        options
    }
}
