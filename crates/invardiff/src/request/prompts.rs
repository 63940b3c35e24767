//! Opening a FLUX model.

use burn::tensor::Device;
use invardiff_plan::{CachePlan, RunSpec};
use invardiff_runtime::Progress;

use super::plan_source::PlanSource;
use super::resolve::{ModelSource, ResolvedModel};
use super::room::{Use, room};
use super::run::RunRequest;
use crate::error::{Error, InSetting, Result};
use crate::sampler::SamplerKind;
use crate::text_to_image::{EditImage, Keeps, PreparedFlux, Prompt, TextToImage, TextToImageOptions};

impl ResolvedModel {
    /// The pipeline of a FLUX model for these prompts without a plan, and the plan adapted to its model. The memory that it
    /// will take is noted to `progress` before anything is loaded.
    ///
    /// # Errors
    /// When the model is no FLUX or cannot be loaded, a setting does not fit the plan or the model, or it does not fit into
    /// memory; nothing is loaded then.
    pub fn prompts(
        &self,
        request: &RunRequest,
        prompts: &[String],
        use_of: Use,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<(TextToImage, Option<CachePlan>)> {
        let ModelSource::Flux(parts) = &self.model else {
            let problem = "is given, but the model is a DiT, which draws classes";
            return Err(Error::setting("prompt", problem));
        };
        let made_for = self.source.as_ref().and_then(PlanSource::execution);
        request.weights_dtype(made_for).check(device)?;
        request.suits_flux()?;
        let name = &parts.name;
        let image = request.prompts.edit_image()?;
        let options = request.text_options(made_for, request.num_inference_steps, image.as_ref());
        let topology = PreparedFlux::new(parts, &options).in_setting("model", name)?.topology();
        let lay = |source: &PlanSource| source.plan(Some(&topology)).in_setting("plan", "");
        let plan = self.source.as_ref().map(lay).transpose()?;
        let options = request.text_options(made_for, request.steps(plan.as_ref())?, image.as_ref());
        let prepared = PreparedFlux::new(parts, &options).in_setting("model", name)?;
        let lower = |plan: &CachePlan| plan.schedule(&topology).in_setting("plan", "");
        let schedule = plan.as_ref().map(lower).transpose()?;
        let (batch, keeps) = match use_of {
            Use::Draw { batch } => (batch, schedule.as_ref().map_or(Keeps::Nothing, Keeps::Schedule)),
            Use::Calibrate => (1, Keeps::Calibration),
        };
        let need = prepared.memory(batch, keeps).in_setting("model", name)?;
        progress.note(&room(request, device, &need)?);
        let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
        let pipeline = prepared.load(&prompts, device).in_setting("model", name)?;
        tell(&pipeline, progress);
        Ok((pipeline, plan))
    }
}

/// Notes what is odd about the weights, and what of the prompts did not fit.
fn tell(pipeline: &TextToImage, progress: &dyn Progress) {
    for note in pipeline.notes() {
        progress.note(&format!("note: {note}"));
    }
    for cut in pipeline.prompts().iter().flat_map(Prompt::cut) {
        progress.note(&format!(
            "note: {} reads {} tokens of a prompt and leaves out '{}'",
            cut.encoder, cut.tokens, cut.text
        ));
    }
}

impl RunRequest {
    /// Refuses samplers and noise that FLUX is not sampled with.
    fn suits_flux(&self) -> Result<()> {
        match self.sampler {
            None | Some(SamplerKind::FlowMatchEuler) => {}
            Some(
                SamplerKind::Ddim | SamplerKind::DpmSolverPlusPlus | SamplerKind::UniPc | SamplerKind::UniPc3,
            ) => {
                let problem = "does not suit the model: FLUX is sampled with flow-match-euler";
                return Err(Error::setting("sampler", problem));
            }
        }
        if self.eta != 0.0 {
            let problem = format!("{}: flow-match-euler draws no noise, ddim does", self.eta);
            return Err(Error::setting("eta", problem));
        }
        Ok(())
    }

    /// The options of a run, those of the plan's run where the request says nothing.
    fn text_options(
        &self,
        made_for: Option<&RunSpec>,
        steps: Option<usize>,
        image: Option<&EditImage>,
    ) -> TextToImageOptions {
        let (asked, default) = (&self.prompts, TextToImageOptions::default());
        let side = |own: Option<usize>, planned: Option<usize>, default| own.or(planned).unwrap_or(default);
        let (height, width) = image.map_or((default.height, default.width), EditImage::size);
        TextToImageOptions {
            image: image.cloned(),
            height: side(asked.height, made_for.map(|run| run.height), height),
            width: side(asked.width, made_for.map(|run| run.width), width),
            num_inference_steps: steps,
            guidance_scale: self.guidance_scale.or_else(|| made_for.and_then(|run| run.guidance_scale)),
            negative_prompt: asked.negative_prompt.clone(),
            true_cfg_scale: asked.true_cfg_scale,
            max_sequence_length: asked.max_sequence_length,
            dtype: self.weights_dtype(made_for),
        }
    }
}
