//! What flags say of a run, and what the plan and the model say where flags do not.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use clap::ValueEnum;
use invardiff_plan::{CachePlan, Execution};

use super::super::plan::Source;
use crate::{ClassToImage, Embedded, NamedDit, SamplerKind, SamplingOptions};

/// The flags of a run; `None` leaves it to the plan, then to the model or the default.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands) struct Wanted<'a> {
    /// `--model`.
    pub(in crate::commands) model: Option<&'a str>,
    /// `--plan`.
    pub(in crate::commands) plan: Option<&'a Path>,
    /// `--sampler`.
    pub(in crate::commands) sampler: Option<SamplerKind>,
    /// `--num-inference-steps`.
    pub(in crate::commands) num_inference_steps: Option<usize>,
    /// Steps where neither flag nor plan says how many.
    pub(in crate::commands) usual_steps: usize,
    /// `--guidance-scale`.
    pub(in crate::commands) guidance_scale: Option<f32>,
    /// `--eta`.
    pub(in crate::commands) eta: f64,
}

impl Wanted<'_> {
    /// The pipeline, uncached, and the plan laid over its model.
    ///
    /// # Errors
    /// When a file cannot be read, or a flag does not fit the plan or the model.
    pub(in crate::commands) fn open(&self, device: &Device) -> Result<(ClassToImage, Option<CachePlan>)> {
        let source = self.plan.map(Source::read).transpose().context("--plan")?;
        let made_for = source.as_ref().and_then(Source::execution);
        let model = NamedDit::open(&self.model_name(made_for)?, device)?;
        let topology = model.config().topology();
        let plan =
            source.as_ref().map(|source| source.plan(Some(&topology))).transpose().context("--plan")?;
        let options = self.options(made_for, plan.as_ref())?;
        Ok((ClassToImage::new(model, options, device)?, plan))
    }

    fn model_name(&self, made_for: Option<&Execution>) -> Result<String> {
        let embedded = |name: &str| Embedded::ALL.into_iter().any(|embedded| embedded.name() == name);
        match (self.model, made_for) {
            (Some(model), _) => Ok(model.to_owned()),
            (None, Some(run)) if embedded(&run.model) => Ok(run.model.clone()),
            (None, Some(run)) => {
                bail!("--model is missing: the plan was made for {}; name the file of its weights", run.model)
            }
            (None, None) => Ok(Embedded::Fashion.name().to_owned()),
        }
    }

    /// Sampler, steps and guidance: as asked for, or as in the run that the plan was made for.
    fn options(&self, made_for: Option<&Execution>, plan: Option<&CachePlan>) -> Result<SamplingOptions> {
        let sampler = made_for.and_then(|run| SamplerKind::from_str(&run.sampler, false).ok());
        let steps = plan.map_or(self.usual_steps, CachePlan::steps);
        let num_inference_steps = self.num_inference_steps.unwrap_or(steps);
        ensure!(
            plan.is_none() || num_inference_steps == steps,
            "--num-inference-steps {num_inference_steps}: the plan has {steps} steps and cannot be stretched, not by force \
             either; leave the flag out, or calibrate for {num_inference_steps} steps"
        );
        Ok(SamplingOptions {
            sampler: self.sampler.or(sampler).unwrap_or_default(),
            num_inference_steps,
            guidance_scale: self
                .guidance_scale
                .or_else(|| made_for.map(|run| run.guidance_scale.unwrap_or(1.0))),
            eta: self.eta,
        })
    }
}
