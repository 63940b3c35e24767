//! Opening a DiT.

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use invardiff::calib::Concurrency;
use invardiff::{ClassToImage, Keeps, NamedDit, PreparedDit, Pretrained, SamplingOptions};
use invardiff_plan::{CachePlan, RunSpec};

use super::resolve::{ModelSource, ResolvedModel, RunRequest};
use super::room::{Use, room};
use crate::commands::source::Source;
use crate::stdout::note;

impl ResolvedModel {
    /// The pipeline of a DiT without a plan, and the plan adapted to its model. For a model in files, prints the memory that it will
    /// take to standard error.
    ///
    /// # Errors
    /// When the model is no DiT or cannot be loaded, a flag does not fit the plan or the model, or it does not fit into memory;
    /// nothing is loaded then.
    pub fn classes(
        &self,
        request: &RunRequest<'_>,
        use_of: Use,
        device: &Device,
    ) -> Result<(ClassToImage, Option<CachePlan>)> {
        let made_for = self.source.as_ref().and_then(Source::execution);
        let dtype = request.dtype(made_for);
        dtype.check(device)?;
        let prepared = match &self.model {
            ModelSource::Embedded(embedded) => PreparedDit::embedded(*embedded, dtype)?,
            ModelSource::Dit(parts) => PreparedDit::new(parts, dtype).with_context(|| named(parts))?,
            ModelSource::Flux(parts) => {
                bail!("{}: it is a FLUX model, which draws prompts (--prompt) and no classes", named(parts))
            }
        };
        let topology = prepared.topology();
        let plan =
            self.source.as_ref().map(|source| source.plan(Some(&topology))).transpose().context("--plan")?;
        let options = request.options(made_for, plan.as_ref())?;
        // A plan that does not fit is refused where it is put to use, which may be by force.
        let schedule = plan.as_ref().and_then(|plan| plan.schedule(&prepared.guided(&options)).ok());
        let (batch, keeps) = match use_of {
            Use::Draw { batch } => (batch, schedule.as_ref().map_or(Keeps::Nothing, Keeps::Schedule)),
            Use::Calibrate => (Concurrency::on(device).runs_at_once(), Keeps::Calibration),
        };
        let table = room(request, device, &prepared.memory(&options, batch, keeps))?;
        let model = match &self.model {
            ModelSource::Embedded(embedded) => embedded.load_as(dtype, device)?,
            ModelSource::Dit(parts) | ModelSource::Flux(parts) => {
                note(table);
                NamedDit::load(parts, dtype, device).with_context(|| named(parts))?
            }
        };
        for note in &model.loaded.notes {
            eprintln!("note: {note}");
        }
        Ok((ClassToImage::new(model, options, device)?, plan))
    }
}

fn named(parts: &Pretrained) -> String {
    format!("--model {}", parts.name)
}

impl RunRequest<'_> {
    /// Sampler, steps and guidance: from the flags, or from the run that the plan was made for.
    fn options(&self, made_for: Option<&RunSpec>, plan: Option<&CachePlan>) -> Result<SamplingOptions> {
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
