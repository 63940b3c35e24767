//! Flags of models that draw prompts, and opening a FLUX model.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use invardiff::{
    Dtype, Keeps, PreparedFlux, SamplerKind, TextToImage, TextToImageOptions, available, parse_lora,
    units::parse_bytes,
};
use invardiff_models::Lora;
use invardiff_plan::{CachePlan, RunSpec, files};

use super::{ModelSource, ResolvedModel, RunRequest};
use crate::commands::source::Source;
use crate::stdout::note;

/// What models of prompts are asked.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Models that draw prompts (FLUX)")]
pub struct PromptFlags {
    /// What to draw; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub prompt: Vec<String>,
    /// A file of prompts, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompts: Option<PathBuf>,
    /// What not to draw; every step then takes two forwards
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// How far to go away from the negative prompt; by default 4
    #[arg(long, value_name = "SCALE", requires = "negative_prompt")]
    pub true_cfg_scale: Option<f32>,
    /// Rows of the image in pixels, a multiple of 16; by default the plan's, or 1024
    #[arg(long, value_name = "PIXELS")]
    pub height: Option<usize>,
    /// Columns of the image in pixels, a multiple of 16; by default the plan's, or 1024
    #[arg(long, value_name = "PIXELS")]
    pub width: Option<usize>,
    /// Tokens of a prompt for T5; by default 512 for FLUX.1-dev, 256 for FLUX.1-schnell
    #[arg(long, value_name = "TOKENS")]
    pub max_sequence_length: Option<usize>,
    /// The type of weights and features, also of a DiT; by default the plan's, or f32
    #[arg(long, value_parser = crate::args::dtype(), help_heading = None)]
    pub dtype: Option<Dtype>,
    /// A LoRA file (safetensors) that is added to the weights, at strength 1 or another one; may be repeated. A plan fits
    /// the weights that it was made with: calibrate with the same files
    #[arg(long, value_name = "FILE[:STRENGTH]", value_parser = parse_lora, help_heading = None)]
    pub lora: Vec<Lora>,
    /// The autoencoder that makes images of latents, a path or the id of a repository on a hub; by default the one beside
    /// the model
    #[arg(long, value_name = "MODEL", help_heading = None)]
    pub vae: Option<String>,
    /// Memory that may be taken, such as 24GB; by default what the system has available
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, help_heading = None)]
    pub memory_limit: Option<u64>,
}

impl PromptFlags {
    /// A flag that was given and that only such a model understands.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--prompt", !self.prompt.is_empty()),
            ("--prompts", self.prompts.is_some()),
            ("--negative-prompt", self.negative_prompt.is_some()),
            ("--height", self.height.is_some()),
            ("--width", self.width.is_some()),
            ("--max-sequence-length", self.max_sequence_length.is_some()),
        ];
        flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// The prompts: those of the flags, the lines of the file that are not empty, or `usual`.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read.
    pub fn prompts(&self, usual: &[&str]) -> Result<Vec<String>> {
        let prompts = match &self.prompts {
            Some(path) => lines(path)?,
            None if self.prompt.is_empty() => usual.iter().map(|&prompt| prompt.to_owned()).collect(),
            None => self.prompt.clone(),
        };
        ensure!(
            !prompts.is_empty(),
            "--prompt is missing: say what to draw, or give --prompts FILE with one a line"
        );
        Ok(prompts)
    }

    /// The options of a run, those of the plan's run where flags say nothing.
    fn options(
        &self,
        request: &RunRequest<'_>,
        made_for: Option<&RunSpec>,
        steps: Option<usize>,
    ) -> TextToImageOptions {
        let default = TextToImageOptions::default();
        let side = |flag: Option<usize>, planned: Option<usize>, default| flag.or(planned).unwrap_or(default);
        TextToImageOptions {
            height: side(self.height, made_for.map(|run| run.height), default.height),
            width: side(self.width, made_for.map(|run| run.width), default.width),
            num_inference_steps: steps,
            guidance_scale: request.guidance_scale.or_else(|| made_for.and_then(|run| run.guidance_scale)),
            negative_prompt: self.negative_prompt.clone(),
            true_cfg_scale: self.true_cfg_scale,
            max_sequence_length: self.max_sequence_length,
            dtype: request.dtype(made_for),
        }
    }
}

/// The most bytes of a file of prompts (16 MiB).
const LONGEST: usize = 16 << 20;

fn lines(path: &Path) -> Result<Vec<String>> {
    let name = || format!("--prompts {}", path.display());
    let text = files::read_text(path, LONGEST).with_context(name)?;
    let prompts: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    ensure!(!prompts.is_empty(), "{}: the file has no prompt; write one a line", name());
    Ok(prompts)
}

/// What a pipeline is opened for.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    /// To draw, so many images at once.
    Draw {
        /// Images at once.
        batch: usize,
    },
    /// To calibrate, one run at a time.
    Calibrate,
}

impl ResolvedModel {
    /// The pipeline of a FLUX model for these prompts, uncached, and the plan laid over its model; says what memory it will
    /// take, on standard error.
    ///
    /// # Errors
    /// When the model is no FLUX or cannot be loaded, a flag does not fit the plan or the model, or it does not fit into
    /// memory; nothing is loaded then.
    pub fn prompts(
        &self,
        request: &RunRequest<'_>,
        prompts: &[String],
        use_of: Use,
        device: &Device,
    ) -> Result<(TextToImage, Option<CachePlan>)> {
        let ModelSource::Flux(parts) = &self.model else {
            bail!("--prompt: the model is a DiT, which draws classes (--class-labels)");
        };
        request.dtype(self.source.as_ref().and_then(Source::execution)).check(device)?;
        match request.sampler {
            None | Some(SamplerKind::FlowMatchEuler) => {}
            Some(SamplerKind::Ddim | SamplerKind::DpmSolverPlusPlus) => {
                bail!("--sampler: FLUX is sampled with flow-match-euler")
            }
        }
        ensure!(request.eta == 0.0, "--eta {}: flow-match-euler draws no noise, ddim does", request.eta);
        let made_for = self.source.as_ref().and_then(Source::execution);
        let open = |steps| request.prompts.options(request, made_for, steps);
        let named = || format!("--model {}", parts.name);
        let options = open(request.asked_steps());
        let topology = PreparedFlux::new(parts, &options).with_context(named)?.topology();
        let plan =
            self.source.as_ref().map(|source| source.plan(Some(&topology))).transpose().context("--plan")?;
        let options = open(request.steps(plan.as_ref())?);
        let prepared = PreparedFlux::new(parts, &options).with_context(named)?;
        let schedule = plan.as_ref().map(|plan| plan.schedule(&topology)).transpose().context("--plan")?;
        let (batch, keeps) = match use_of {
            Use::Draw { batch } => (batch, schedule.as_ref().map_or(Keeps::Nothing, Keeps::Schedule)),
            Use::Calibrate => (1, Keeps::Calibration),
        };
        let need = prepared.memory(batch, keeps).with_context(named)?;
        let limit = request.prompts.memory_limit.or_else(available);
        need.check(limit)?;
        note(need.table(limit));
        let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let pipeline = prepared.load(&prompts, device).with_context(named)?;
        for note in pipeline.notes() {
            eprintln!("note: {note}");
        }
        for prompt in pipeline.prompts() {
            for cut in prompt.cut() {
                note(format_args!(
                    "note: {} reads {} tokens of a prompt and leaves out '{}'",
                    cut.encoder, cut.tokens, cut.text
                ));
            }
        }
        Ok((pipeline, plan))
    }
}
