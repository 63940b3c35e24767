//! Opening a DiT.

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use invardiff::{ClassToImage, NamedDit, SamplingOptions};
use invardiff_plan::{CachePlan, RunSpec};

use super::resolve::{ModelSource, ResolvedModel, RunRequest};
use crate::commands::source::Source;

impl ResolvedModel {
    /// The pipeline of a DiT without a plan, and the plan adapted to its model.
    ///
    /// # Errors
    /// When the model is no DiT or cannot be loaded, or a flag does not fit the plan or the model.
    pub fn classes(
        &self,
        request: &RunRequest<'_>,
        device: &Device,
    ) -> Result<(ClassToImage, Option<CachePlan>)> {
        let made_for = self.source.as_ref().and_then(Source::execution);
        let dtype = request.dtype(made_for);
        dtype.check(device)?;
        let model = match &self.model {
            ModelSource::Embedded(embedded) => embedded.load_as(dtype, device)?,
            ModelSource::Dit(parts) => {
                NamedDit::load(parts, dtype, device).with_context(|| format!("--model {}", parts.name))?
            }
            ModelSource::Flux(parts) => {
                bail!(
                    "--model {}: it is a FLUX model, which draws prompts (--prompt) and no classes",
                    parts.name
                )
            }
        };
        for note in &model.loaded.notes {
            eprintln!("note: {note}");
        }
        let topology = model.config().topology();
        let plan =
            self.source.as_ref().map(|source| source.plan(Some(&topology))).transpose().context("--plan")?;
        let options = request.options(made_for, plan.as_ref())?;
        Ok((ClassToImage::new(model, options, device)?, plan))
    }
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
