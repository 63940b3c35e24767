//! Opening a DiT.

use burn::tensor::Device;
use invardiff_calib::Concurrency;
use invardiff_plan::{CachePlan, RunSpec};
use invardiff_runtime::Progress;

use super::plan_source::PlanSource;
use super::resolve::{ModelSource, ResolvedModel};
use super::room::{Use, room};
use super::run::RunRequest;
use crate::class_to_image::ClassToImage;
use crate::dtype::Dtype;
use crate::error::{Error, InSetting, Result};
use crate::model::NamedDit;
use crate::pipeline::SamplingOptions;
use crate::prepared_dit::PreparedDit;
use crate::text_to_image::Keeps;

impl ResolvedModel {
    /// The pipeline of a DiT without a plan, and the plan adapted to its model. For a model in files, the memory that it will
    /// take is noted to `progress` before anything is loaded.
    ///
    /// # Errors
    /// When the model is no DiT or cannot be loaded, a setting does not fit the plan or the model, or it does not fit into
    /// memory; nothing is loaded then.
    pub fn classes(
        &self,
        request: &RunRequest,
        use_of: Use,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<(ClassToImage, Option<CachePlan>)> {
        let made_for = self.source.as_ref().and_then(PlanSource::execution);
        let dtype = request.weights_dtype(made_for);
        dtype.check(device)?;
        let prepared = self.prepared_dit(dtype)?;
        let topology = prepared.topology();
        let lay = |source: &PlanSource| source.plan(Some(&topology)).in_setting("plan", "");
        let plan = self.source.as_ref().map(lay).transpose()?;
        let options = request.sampling(made_for, plan.as_ref())?;
        // A plan that does not fit is refused where it is put to use, which may be by force.
        let schedule = plan.as_ref().and_then(|plan| plan.schedule(&prepared.guided(&options)).ok());
        let (batch, keeps) = match use_of {
            Use::Draw { batch } => (batch, schedule.as_ref().map_or(Keeps::Nothing, Keeps::Schedule)),
            Use::Calibrate => {
                let runs = request.runs.unwrap_or(ClassToImage::DEFAULT_RUNS);
                (Concurrency::on(device).runs_at_once().min(runs), Keeps::Calibration)
            }
        };
        let table = room(request, device, &prepared.memory(&options, batch, keeps))?;
        let model = match &self.model {
            #[cfg(feature = "embedded")]
            ModelSource::Embedded(embedded) => embedded.load_as(dtype, device)?,
            ModelSource::Dit(parts) | ModelSource::Flux(parts) => {
                progress.note(&table);
                NamedDit::load(parts, dtype, device).in_setting("model", &parts.name)?
            }
        };
        for note in &model.loaded.notes {
            progress.note(&format!("note: {note}"));
        }
        Ok((ClassToImage::new(model, options, device)?, plan))
    }

    /// The model and what it takes, before anything is loaded.
    fn prepared_dit(&self, dtype: Dtype) -> Result<PreparedDit> {
        match &self.model {
            #[cfg(feature = "embedded")]
            ModelSource::Embedded(embedded) => PreparedDit::embedded(*embedded, dtype),
            ModelSource::Dit(parts) => PreparedDit::new(parts, dtype).in_setting("model", &parts.name),
            ModelSource::Flux(parts) => {
                let name = &parts.name;
                let problem = format!("{name}: it is a FLUX model, which draws prompts and no classes");
                Err(Error::setting("model", problem))
            }
        }
    }
}

impl RunRequest {
    /// Sampler, steps and guidance: as asked for, or of the run that the plan was made for.
    fn sampling(&self, made_for: Option<&RunSpec>, plan: Option<&CachePlan>) -> Result<SamplingOptions> {
        let sampler = made_for.and_then(|run| run.sampler.parse().ok());
        Ok(SamplingOptions {
            sampler: self.sampler.or(sampler).unwrap_or_default(),
            num_inference_steps: self.steps(plan)?.unwrap_or(self.default_steps),
            guidance_scale: self
                .guidance_scale
                .or_else(|| made_for.map(|run| run.guidance_scale.unwrap_or(1.0))),
            eta: self.eta,
        })
    }
}
