//! From flags to the model that they name, and the run that they ask for.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use invardiff::{Dtype, Embedded, Pretrained, SamplerKind, SamplingOptions, check_loras, locate_with};
use invardiff_models::Architecture;
use invardiff_plan::{CachePlan, RunSpec};

use super::flags::PromptFlags;
use crate::commands::source::Source;
use crate::progress::Bars;

/// The flags of a run; `None` leaves it to the plan, then to the model or the default.
#[derive(Clone, Copy, Debug)]
pub struct RunRequest<'a> {
    /// `--model`.
    pub model: Option<&'a str>,
    /// `--plan`.
    pub plan: Option<&'a Path>,
    /// `--sampler`.
    pub sampler: Option<SamplerKind>,
    /// `--num-inference-steps`.
    pub num_inference_steps: Option<u32>,
    /// Steps of a DiT where neither flag nor plan says how many.
    pub default_steps: usize,
    /// `--guidance-scale`.
    pub guidance_scale: Option<f32>,
    /// `--eta`.
    pub eta: f64,
    /// What models of prompts are asked.
    pub prompts: &'a PromptFlags,
}

/// A model that was found, and the plan's file.
#[derive(Clone, Debug)]
pub struct ResolvedModel {
    /// What draws.
    pub model: ModelSource,
    pub(super) source: Option<Source>,
}

/// What draws.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A DiT in the binary.
    Embedded(Embedded),
    /// A DiT in files.
    Dit(Pretrained),
    /// A FLUX model.
    Flux(Pretrained),
}

impl<'a> RunRequest<'a> {
    /// These flags alone; what no other field is set to is left to the plan, then to the model or the default.
    pub fn of(prompts: &'a PromptFlags) -> Self {
        Self {
            model: None,
            plan: None,
            sampler: None,
            num_inference_steps: None,
            default_steps: SamplingOptions::default().num_inference_steps,
            guidance_scale: None,
            eta: 0.0,
            prompts,
        }
    }

    /// Reads the plan's file and finds the model: the one that is named, or the plan's.
    ///
    /// # Errors
    /// When a file cannot be read or fetched, or the model takes no prompts and some are given.
    pub fn resolve(&self) -> Result<ResolvedModel> {
        let source = self.plan.map(Source::read).transpose().context("--plan")?;
        let made_for = source.as_ref().and_then(Source::execution);
        let model = self.find(made_for)?;
        if let (Some(flag), ModelSource::Embedded(_) | ModelSource::Dit(_)) = (self.prompts.given(), &model) {
            bail!(
                "{flag}: the model is a DiT, which draws classes (--class-labels); a FLUX model draws prompts"
            );
        }
        Ok(ResolvedModel { model, source })
    }

    fn find(&self, made_for: Option<&RunSpec>) -> Result<ModelSource> {
        let embedded = |name: &str| Embedded::ALL.into_iter().find(|embedded| embedded.name() == name);
        let name = match (self.model, made_for) {
            (Some(model), _) => model,
            (None, Some(run)) if embedded(&run.model).is_some() => run.model.as_str(),
            (None, Some(run)) => {
                bail!("--model is missing: the plan was made for {}; name the file of its weights", run.model)
            }
            (None, None) if self.prompts.given().is_some() => {
                bail!(
                    "--model is missing: prompts are drawn by a FLUX model, such as black-forest-labs/FLUX.1-dev"
                )
            }
            (None, None) => Embedded::Fashion.name(),
        };
        if let Some(embedded) = embedded(name) {
            ensure!(
                self.prompts.lora.is_empty(),
                "--lora: {name} is part of this program; LoRA files are added to models in files (--model)"
            );
            return Ok(ModelSource::Embedded(embedded));
        }
        check_loras(&self.prompts.lora)?;
        let progress = Bars::default();
        let mut parts = Pretrained::open_with(name, &progress).with_context(|| format!("--model {name}"))?;
        if let Some(vae) = &self.prompts.vae {
            parts.autoencoder = Some(locate_with(vae, &progress).with_context(|| format!("--vae {vae}"))?);
        }
        parts.loras.clone_from(&self.prompts.lora);
        Ok(match parts.architecture {
            Architecture::Dit => ModelSource::Dit(parts),
            Architecture::Flux => ModelSource::Flux(parts),
        })
    }

    /// The number of steps that a plan and a flag agree on: of a plan with times of its own, those of the run that it stands for.
    pub(super) fn steps(&self, plan: Option<&CachePlan>) -> Result<Option<usize>> {
        let (planned, asked) = (plan.map(CachePlan::full_steps), self.asked_steps());
        if let (Some(planned), Some(asked)) = (planned, asked) {
            ensure!(
                planned == asked,
                "--num-inference-steps {asked}: the plan has {planned} steps and cannot be stretched, not by force \
                 either; leave the flag out, or calibrate for {asked} steps"
            );
        }
        Ok(asked.or(planned))
    }

    /// The number of steps that the flag asks for.
    pub(super) fn asked_steps(&self) -> Option<usize> {
        self.num_inference_steps.map(|steps| steps as usize)
    }

    /// The type of the weights: as asked for, or as in the run that the plan was made for.
    pub(super) fn dtype(&self, made_for: Option<&RunSpec>) -> Dtype {
        let planned = made_for.and_then(|run| Dtype::ALL.into_iter().find(|dtype| dtype.name() == run.dtype));
        self.prompts.dtype.or(planned).unwrap_or_default()
    }
}
