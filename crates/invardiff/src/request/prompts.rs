//! Opening a FLUX model.

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use invardiff::{Keeps, PreparedFlux, SamplerKind, TextToImage, TextToImageOptions};
use invardiff_plan::{CachePlan, RunSpec};

use super::flags::PromptFlags;
use super::resolve::{ModelSource, ResolvedModel, RunRequest};
use super::room::{Use, room};
use crate::commands::source::Source;
use crate::stdout::note;

impl PromptFlags {
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

impl ResolvedModel {
    /// The pipeline of a FLUX model for these prompts without a plan, and the plan adapted to its model. Prints the memory
    /// that it will take to standard error.
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
        note(room(request, device, &need)?);
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
