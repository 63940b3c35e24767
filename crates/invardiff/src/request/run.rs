//! The settings of a run, as far as they are known before the model is.

use std::path::{Path, PathBuf};

use invardiff_models::Lora;
use invardiff_plan::{encoding, files};

use crate::dtype::Dtype;
use crate::error::{Error, InSetting, Result};
use crate::pipeline::SamplingOptions;
use crate::sampler::SamplerKind;
use crate::text_to_image::EditImage;

/// What is to be drawn or calibrated, and with which model. A field that is `None` takes the value of the run that the plan
/// was made for, or without a plan the model's own.
///
/// ```
/// use invardiff::RunRequest;
///
/// let mut request = RunRequest::default();
/// request.model = Some("no/such/model.safetensors".to_owned());
/// let message = invardiff::fault::with_causes(&request.resolve(&()).unwrap_err());
/// assert!(message.starts_with("model no/such/model.safetensors: there is no"), "{message}");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunRequest {
    /// The name of an embedded model, a path of weights, or the id of a repository on a hub. `None` is the model that the
    /// plan was made for, where that is an embedded one.
    pub model: Option<String>,
    /// The file of the plan, in any format that [`PlanSource`](super::PlanSource) reads.
    pub plan: Option<PathBuf>,
    /// The sampler.
    pub sampler: Option<SamplerKind>,
    /// Its number of steps.
    pub num_inference_steps: Option<usize>,
    /// Steps of a DiT where neither this request nor the plan says how many; 50 by default.
    pub default_steps: usize,
    /// The guidance scale; 1 is no guidance.
    pub guidance_scale: Option<f32>,
    /// Noise that DDIM adds at each step, 0 to 1.
    pub eta: f64,
    /// The type of weights and features.
    pub dtype: Option<Dtype>,
    /// LoRA files that are added to the weights.
    pub lora: Vec<Lora>,
    /// The autoencoder, a path or the id of a repository on a hub; `None` is the one beside the model.
    pub vae: Option<String>,
    /// Runs of a calibration, as many of which as the device takes are in memory at once; `None` is the model's own number.
    pub runs: Option<usize>,
    /// The section of a training file to read, such as `ema`; `None` is the averaged weights, or the only ones.
    pub section: Option<String>,
    /// The most memory that may be taken, in bytes; `None` is what the system has available.
    pub memory_limit: Option<u64>,
    /// What a model that draws prompts is asked.
    pub prompts: PromptRequest,
}

impl Default for RunRequest {
    /// The embedded Fashion-MNIST model, without a plan.
    fn default() -> Self {
        Self {
            model: None,
            plan: None,
            sampler: None,
            num_inference_steps: None,
            default_steps: SamplingOptions::default().num_inference_steps,
            guidance_scale: None,
            eta: 0.0,
            dtype: None,
            lora: Vec::new(),
            vae: None,
            runs: None,
            section: None,
            memory_limit: None,
            prompts: PromptRequest::default(),
        }
    }
}

/// What a model that draws prompts (FLUX) is asked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PromptRequest {
    /// The prompts.
    pub prompt: Vec<String>,
    /// A file with one prompt per line, instead.
    pub prompts: Option<PathBuf>,
    /// What not to draw; every step then takes two forwards.
    pub negative_prompt: Option<String>,
    /// The guidance scale away from the negative prompt.
    pub true_cfg_scale: Option<f32>,
    /// Rows of the image in pixels.
    pub height: Option<usize>,
    /// Columns of the image in pixels.
    pub width: Option<usize>,
    /// Tokens of a prompt for T5.
    pub max_sequence_length: Option<usize>,
    /// A PNG file to edit, with FLUX.1-Kontext or FLUX.1-Fill.
    pub image: Option<PathBuf>,
    /// A PNG file that is white where FLUX.1-Fill draws anew.
    pub mask_image: Option<PathBuf>,
}

impl PromptRequest {
    /// The name of a field that is set and that only a model of prompts understands.
    pub(super) fn given(&self) -> Option<&'static str> {
        let fields = [
            ("prompt", !self.prompt.is_empty()),
            ("prompts", self.prompts.is_some()),
            ("negative_prompt", self.negative_prompt.is_some()),
            ("height", self.height.is_some()),
            ("width", self.width.is_some()),
            ("max_sequence_length", self.max_sequence_length.is_some()),
            ("image", self.image.is_some()),
            ("mask_image", self.mask_image.is_some()),
        ];
        fields.into_iter().find(|(_, given)| *given).map(|(field, _)| field)
    }

    /// The image to edit, with its mask.
    ///
    /// # Errors
    /// When a file cannot be read, or does not fit; or there is a mask and no image.
    pub fn edit_image(&self) -> Result<Option<EditImage>> {
        let Some(image) = &self.image else {
            let alone = self.mask_image.is_some();
            return if alone {
                Err(Error::setting("image", "is missing: a mask is given"))
            } else {
                Ok(None)
            };
        };
        EditImage::open(image, self.mask_image.as_deref()).in_setting("image", "").map(Some)
    }

    /// The prompts: those of the field, the lines of the file that are not empty, or `default`.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read.
    pub fn texts(&self, default: &[&str]) -> Result<Vec<String>> {
        let prompts = match &self.prompts {
            Some(path) => lines(path)?,
            None if self.prompt.is_empty() => default.iter().map(|&prompt| prompt.to_owned()).collect(),
            None => self.prompt.clone(),
        };
        if prompts.is_empty() {
            let problem = "is missing: say what to draw, or name a file of prompts with one a line";
            return Err(Error::setting("prompt", problem));
        }
        Ok(prompts)
    }
}

/// The most bytes of a file of prompts (16 MiB).
const LONGEST: usize = 16 << 20;

fn lines(path: &Path) -> Result<Vec<String>> {
    let refused =
        |what: &dyn std::fmt::Display| Error::setting("prompts", format_args!("{}: {what}", path.display()));
    let text = files::read_text(path, LONGEST).map_err(|error| refused(&error))?;
    let prompts: Vec<String> = encoding::lines(&text).map(str::to_owned).collect();
    if prompts.is_empty() {
        return Err(refused(&"the file has no prompt; write one a line"));
    }
    Ok(prompts)
}
