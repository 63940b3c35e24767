//! `invardiff route train`.

use std::path::PathBuf;
#[cfg(feature = "autodiff")]
use std::process::ExitCode;

#[cfg(feature = "autodiff")]
use anyhow::Result;
#[cfg(feature = "autodiff")]
use invardiff_lab::route::{RouterOptions, train};
#[cfg(feature = "autodiff")]
use serde_json::json;

use crate::args::DeviceArg;
#[cfg(feature = "autodiff")]
use crate::commands::request;
use crate::commands::request::PromptFlags;
#[cfg(feature = "autodiff")]
use crate::progress::Bars;
#[cfg(feature = "autodiff")]
use crate::stdout::say;

const HELP: &str = "\
Examples:
  invardiff route train
      The embedded Fashion-MNIST model, 20 steps of DDIM, on images that it draws itself; everything lands in
      out/fashion-routers
  invardiff route train --num-inference-steps 50 --lambda 1e-4 --iterations 2000
  invardiff route train --iterations 1200 --resume
      Goes on with a training that was interrupted; the other flags must be the same
  invardiff generate --images-per-class 100 --out mine.safetensors && invardiff route train --examples mine.safetensors
  invardiff route train --model black-forest-labs/FLUX.1-dev --prompts prompts.txt --dtype bf16 --batch-size 1
      A logit for every module site: joint attention is one site with both of its streams. Gradients take memory beyond what
      is announced

Trained as published (arXiv 2406.01733 and its code): at the first step of a pair everything is computed, at the second the
modules' outputs are blended with those kept from the first; the loss is the mean square to the unblended prediction plus
lambda times the sum of the router's weights. Written: state.safetensors (every 50 iterations), routers.safetensors,
plan.json, report.html.

--json prints one object: folder, routers, plan, report, iterations, seconds, examples, computed_modules, routed_modules,
table.";

/// Train routers against the uncached model, whose weights stay as they are
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// `fashion` or `emoji` (embedded), a path of DiT or FLUX weights, or the id of a repository on a hub
    #[arg(long, default_value = "fashion", value_name = "MODEL")]
    model: String,
    /// Steps of the sampler (ddim, or flow-match-euler of FLUX), an even number; by default 20 for DiT, 28 for FLUX.1-dev,
    /// 4 for FLUX.1-schnell. Routers belong to one number of steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    num_inference_steps: Option<u32>,
    /// Iterations in all, each of one router
    #[arg(long, default_value_t = 600, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    iterations: u32,
    /// Examples of an iteration
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: u32,
    /// Clean samples with their classes, as `generate --out FILE.safetensors` writes them (DiT); by default the model draws
    /// its own
    #[arg(long, value_name = "FILE", conflicts_with = "drawn_examples")]
    examples: Option<PathBuf>,
    /// How many images the model draws itself to be trained on
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    drawn_examples: u32,
    /// Price of a computed module; published are 1e-6 to 5e-6 for latents of DiT-XL/2
    #[arg(long, default_value_t = 5e-5, value_name = "PRICE")]
    lambda: f64,
    /// Learning rate of AdamW
    #[arg(long, default_value_t = 0.1, value_name = "RATE")]
    learning_rate: f64,
    /// Blend with weights cut at this threshold, with the gradient of the uncut ones
    #[arg(long, value_name = "T")]
    straight_through: Option<f32>,
    /// Share of examples that are trained without their class, as the model was for guidance (DiT)
    #[arg(long, default_value_t = 0.1, value_name = "P")]
    label_dropout: f64,
    /// The plan and the report cut the routers here
    #[arg(long, default_value_t = 0.5, value_name = "T")]
    threshold: f32,
    /// Guidance scale of the images that are drawn (1: none); by default the model's own. Routers are trained without
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true)]
    guidance_scale: Option<f32>,
    /// Seed of the routers, the examples and the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Held-out images of the report
    #[arg(long = "images", alias = "pictures", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    images: u32,
    #[command(flatten)]
    prompts: PromptFlags,
    /// Go on from the folder's state.safetensors
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    device: DeviceArg,
    /// The folder for everything written; by default out/MODEL-routers
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// Steps of a DiT where nothing is said.
#[cfg(feature = "autodiff")]
const STEPS: usize = 20;

#[cfg(feature = "autodiff")]
impl Args {
    /// Trains, and prints what came of it.
    pub(super) fn run(&self) -> Result<ExitCode> {
        let mut asked = self.prompts.request();
        asked.model = Some(self.model.clone());
        asked.num_inference_steps = request::steps(self.num_inference_steps);
        asked.default_steps = STEPS;
        asked.guidance_scale = self.guidance_scale;
        let (device, bars) = (self.device.open()?, Bars::default());
        let (examples, folder) = (self.examples.as_deref(), self.out.as_deref());
        let trained = train(&asked, &self.options(), examples, folder, &device, &bars)?;
        let (routers, folder) = (&trained.routers, &trained.folder);
        let (computed, routed) = (routers.computed(self.threshold), routers.logits().len());
        let (report, page) = (&trained.report, &trained.page);
        if self.json {
            let object = json!({
                "folder": folder, "routers": folder.join("routers.safetensors"), "plan": folder.join("plan.json"),
                "report": page, "iterations": trained.iterations, "seconds": trained.seconds,
                "examples": trained.origin, "computed_modules": computed, "routed_modules": routed,
                "table": report.table,
            });
            say(format_args!("{object:#}"))?;
        } else {
            say(format_args!("{}\n{}\n\n{}", report.title, report.subtitle, report.table))?;
            say(format_args!("{computed} of {routed} routed modules computed\nreport {}", page.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn options(&self) -> RouterOptions {
        let mut options = RouterOptions::default();
        options.iterations = self.iterations as usize;
        options.batch_size = self.batch_size as usize;
        options.drawn_examples = self.drawn_examples as usize;
        options.lambda = self.lambda;
        options.learning_rate = self.learning_rate;
        options.straight_through = self.straight_through;
        options.label_dropout = self.label_dropout;
        options.threshold = self.threshold;
        options.seed = self.seed;
        options.images = self.images as usize;
        options.resume = self.resume;
        options
    }
}
