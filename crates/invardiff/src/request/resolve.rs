//! From a request to the model that it names.

use invardiff_models::Architecture;
use invardiff_plan::{CachePlan, RunSpec};
use invardiff_runtime::Progress;

use super::plan_source::PlanSource;
use super::run::RunRequest;
use crate::dtype::Dtype;
#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
use crate::error::{Error, InSetting, Result};
use crate::locate::locate_with;
use crate::lora::check_loras;
use crate::pretrained::Pretrained;

/// A model that was found, and the plan's file.
#[derive(Clone, Debug)]
pub struct ResolvedModel {
    /// The model that draws.
    pub model: ModelSource,
    pub(super) source: Option<PlanSource>,
}

/// Where the model that draws is, and of which kind it is.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// An embedded DiT.
    #[cfg(feature = "embedded")]
    Embedded(Embedded),
    /// A DiT in files.
    Dit(Pretrained),
    /// A FLUX model in files.
    Flux(Pretrained),
}

impl ModelSource {
    /// Whether the model draws prompts, and not classes.
    pub const fn draws_prompts(&self) -> bool {
        matches!(self, Self::Flux(_))
    }
}

impl RunRequest {
    /// Reads the plan's file and finds the model: the one that is named, or the plan's. Downloads are told to `progress`.
    ///
    /// # Errors
    /// When a file cannot be read or fetched, or prompts are given to a model that takes none.
    pub fn resolve(&self, progress: &dyn Progress) -> Result<ResolvedModel> {
        check_guidance(self.guidance_scale)?;
        let read = |path: &std::path::PathBuf| PlanSource::read(path).in_setting("plan", "");
        let source = self.plan.as_ref().map(read).transpose()?;
        let model = self.find(source.as_ref().and_then(PlanSource::execution), progress)?;
        match self.prompts.given() {
            Some(field) if !model.draws_prompts() => {
                let problem =
                    "is given, but the model is a DiT, which draws classes; a FLUX model draws prompts";
                Err(Error::setting(field, problem))
            }
            Some(_) | None => Ok(ResolvedModel { model, source }),
        }
    }

    fn find(&self, made_for: Option<&RunSpec>, progress: &dyn Progress) -> Result<ModelSource> {
        let name = self.name(made_for)?;
        #[cfg(feature = "embedded")]
        if let Some(embedded) = Embedded::named(name) {
            if let Some(vae) = &self.vae {
                let problem = format!("{vae} has no use: {name} is embedded and draws pixels, not latents");
                return Err(Error::setting("vae", problem));
            }
            if self.section.is_some() {
                let problem = format!(
                    "is given, but {name} is embedded and has one; sections are those of training files"
                );
                return Err(Error::setting("section", problem));
            }
            if self.lora.is_empty() {
                return Ok(ModelSource::Embedded(embedded));
            }
            let problem =
                format!("cannot be added: {name} is embedded; LoRA files are added to models in files");
            return Err(Error::setting("lora", problem));
        }
        check_loras(&self.lora)?;
        let mut parts = Pretrained::open_with(name, progress).in_setting("model", name)?;
        if let Some(vae) = &self.vae {
            parts.autoencoder = Some(locate_with(vae, progress).in_setting("vae", vae)?);
        }
        parts.loras.clone_from(&self.lora);
        parts.section.clone_from(&self.section);
        Ok(match parts.architecture {
            Architecture::Dit => ModelSource::Dit(parts),
            Architecture::Flux => ModelSource::Flux(parts),
        })
    }

    /// The name of the model: as asked for, or the plan's where that is an embedded one.
    fn name<'a>(&'a self, made_for: Option<&'a RunSpec>) -> Result<&'a str> {
        let missing = |problem: String| Err(Error::setting("model", format_args!("is missing: {problem}")));
        match (&self.model, made_for) {
            (Some(model), _) => Ok(model),
            (None, Some(run)) if is_embedded(&run.model) => Ok(&run.model),
            (None, Some(run)) => {
                missing(format!("the plan was made for {}; name the file of its weights", run.model))
            }
            (None, None) if self.prompts.given().is_some() => {
                missing("prompts are drawn by a FLUX model, such as black-forest-labs/FLUX.1-dev".to_owned())
            }
            (None, None) => DEFAULT.map_or_else(
                || missing("name a path of weights, or the id of a repository on a hub".to_owned()),
                Ok,
            ),
        }
    }

    /// The number of steps that the plan and the request agree on; for a plan with times of its own, that of the run it
    /// stands for.
    pub(super) fn steps(&self, plan: Option<&CachePlan>) -> Result<Option<usize>> {
        let (planned, asked) = (plan.map(CachePlan::full_steps), self.num_inference_steps);
        match (planned, asked) {
            (Some(planned), Some(asked)) if planned != asked => Err(Error::setting(
                "num_inference_steps",
                format_args!(
                    "{asked}: the plan has {planned} steps and cannot be stretched, not by force either; leave it out, or \
                     calibrate for {asked} steps"
                ),
            )),
            _ => Ok(asked.or(planned)),
        }
    }

    /// The type of the weights: as asked for, or as in the run that the plan was made for.
    pub(super) fn weights_dtype(&self, made_for: Option<&RunSpec>) -> Dtype {
        let planned = made_for.and_then(|run| Dtype::ALL.into_iter().find(|dtype| dtype.name() == run.dtype));
        self.dtype.or(planned).unwrap_or_default()
    }
}

#[cfg(feature = "embedded")]
fn is_embedded(name: &str) -> bool {
    Embedded::named(name).is_some()
}

#[cfg(not(feature = "embedded"))]
const fn is_embedded(_: &str) -> bool {
    false
}

/// The model of a request that names none.
const DEFAULT: Option<&str> = if cfg!(feature = "embedded") { Some("fashion") } else { None };

/// A scale is a number from 0 on: below that images would be drawn away from their condition.
fn check_guidance(scale: Option<f32>) -> Result<()> {
    match scale {
        Some(scale) if !(scale.is_finite() && scale >= 0.0) => Err(Error::setting(
            "guidance_scale",
            format!("is {scale}, expected a number from 0 on (1: none)"),
        )),
        _ => Ok(()),
    }
}
