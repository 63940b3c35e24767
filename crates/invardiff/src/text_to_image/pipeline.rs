//! The pipeline.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use invardiff_calib::{Concurrency, RecordOptions};
use invardiff_models::{AutoencoderKl, Canvas, Flux, Loaded};
use invardiff_plan::two_phase::Variant;
use invardiff_plan::{Kind, RunSpec, Schedule, SiteSpec, Topology};
use invardiff_runtime::{Denoiser, FlowMatchEuler, Sampler, TwoPassCond, TwoPassGuidance};
use ndarray::Array4;

use crate::decode::decode;
use crate::dtype::Dtype;
use crate::error::{About, Error, Result};
use crate::memory::available;
use crate::pipeline::{Caching, Calibrating, ModelFacts, Resampling, Sampling, Subjects, to_array};
use crate::pretrained::FlowShift;
use crate::sampler::{SamplerKind, chosen};

use super::guided::{GuidedFlux, PromptCond};
use super::options::{Settled, named};
use super::packing::{self, unpack};
use super::prompt::Prompt;

/// Sampling from prompts with FLUX, cached by a plan or not.
///
/// The text encoders are loaded, used and dropped before the transformer is loaded, so the prompts are given at the start;
/// [`TextToImage::prompts`] has them as the pipeline's subjects.
///
/// ```no_run
/// use invardiff::prelude::*;
/// use invardiff_plan::CachePlan;
///
/// let device = burn::tensor::Device::flex();
/// let options = TextToImageOptions { height: 512, width: 512, ..TextToImageOptions::default() };
/// let model = "black-forest-labs/FLUX.1-dev";
/// let mut pipeline = TextToImage::from_pretrained(model, &["a red panda"], &options, &device)?;
/// pipeline.enable_cache(&CachePlan::read("plan.json")?)?;
/// let samples = pipeline.generate(pipeline.prompts(), &[0])?; // packed latents [1, 1024, 64]
/// let images = pipeline.images(samples)?; // [1, 3, 512, 512] in -1 ..= 1
/// # Ok::<(), invardiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextToImage {
    name: String,
    weights_sha256: String,
    notes: Vec<String>,
    denoiser: GuidedFlux,
    sampler: FlowMatchEuler,
    shift: FlowShift,
    settled: Settled,
    prompts: Vec<Prompt>,
    negative: Option<Prompt>,
    /// What the network is told of an image that it edits, `[1, tokens, channels]`.
    image: Option<Tensor<3>>,
    autoencoder: Option<AutoencoderKl>,
    schedule: Option<Arc<Schedule>>,
    device: Device,
}

impl TextToImage {
    /// The pipeline of parts that are loaded.
    pub(super) fn assemble(
        settled: Settled,
        (sampler, shift): (FlowMatchEuler, FlowShift),
        loaded: Loaded<Flux>,
        autoencoder: Option<AutoencoderKl>,
        (mut prompts, image): (Vec<Prompt>, Option<Tensor<3>>),
        device: &Device,
    ) -> Self {
        // The negative prompt is encoded with the others, as the last one.
        let negative = settled.true_cfg_scale.and_then(|_| prompts.pop());
        let [rows, columns] = settled.reference;
        let flux = loaded.model.with_canvas(settled.canvas).with_reference(rows, columns);
        Self {
            name: named(flux.config(), settled.reference),
            weights_sha256: loaded.sha256,
            notes: loaded.notes,
            denoiser: match settled.true_cfg_scale {
                None => GuidedFlux::Plain(flux),
                Some(scale) => GuidedFlux::TwoPass(TwoPassGuidance { model: flux, scale }),
            },
            sampler,
            shift,
            settled,
            prompts,
            negative,
            image,
            autoencoder,
            schedule: None,
            device: device.clone(),
        }
    }

    /// The prompts that it was made for, encoded.
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// What was taken where the transformer's files leave a choice: section, quantisation, strengths of LoRA files.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The tokens of an image and its prompt.
    pub fn canvas(&self) -> Canvas {
        self.settled.canvas
    }

    /// The scale of guidance by a negative prompt; `None` without.
    pub fn true_cfg_scale(&self) -> Option<f32> {
        self.settled.true_cfg_scale
    }

    /// The transformer.
    pub fn flux(&self) -> &Flux {
        self.denoiser.flux()
    }

    /// One condition of a batch.
    fn cond_of(&self, prompts: &[&Prompt]) -> Result<invardiff_models::FluxCond> {
        let text = Tensor::cat(prompts.iter().map(|prompt| prompt.tokens().clone()).collect(), 0);
        let pooled = Tensor::cat(prompts.iter().map(|prompt| prompt.pooled().clone()).collect(), 0);
        let batch = prompts.len();
        let guidance = self.settled.guidance_scale.map(|scale| vec![scale; batch]);
        let image = self.image.as_ref().map(|image| image.clone().repeat_dim(0, batch));
        Ok(self.flux().cond_with_image(text, pooled, guidance.as_deref(), image)?)
    }
}

impl ModelFacts for TextToImage {
    fn name(&self) -> &str {
        &self.name
    }

    fn weights_sha256(&self) -> &str {
        &self.weights_sha256
    }

    fn guidance_scale(&self) -> Option<f32> {
        self.settled.guidance_scale
    }

    fn dtype(&self) -> Dtype {
        self.settled.dtype
    }

    fn passes(&self) -> usize {
        if self.settled.true_cfg_scale.is_some() { 2 } else { 1 }
    }

    fn variant(&self) -> Variant {
        Variant::Flux
    }

    fn execution(&self) -> RunSpec {
        RunSpec {
            model: self.name.clone(),
            weights_sha256: Some(self.weights_sha256.clone()),
            sampler: Sampler::<3>::name(&self.sampler).to_owned(),
            timesteps: (0..self.sampler.steps())
                .map(|step| Sampler::<3>::time(&self.sampler, step))
                .collect(),
            height: self.settled.height,
            width: self.settled.width,
            guidance_scale: self.settled.guidance_scale,
            dtype: self.settled.dtype.name().to_owned(),
        }
    }
}

impl Subjects for TextToImage {
    type Subject = Prompt;

    fn subject(&self, index: usize) -> Prompt {
        self.prompts[index % self.prompts.len()].clone()
    }

    /// FLUX is told a scale and has no empty prompt of its own.
    fn null_subject(&self) -> Option<Prompt> {
        None
    }

    fn class(&self, _: &Prompt) -> Option<usize> {
        None
    }

    fn describe(&self, prompt: &Prompt) -> String {
        prompt.text().to_owned()
    }

    fn default_batch(&self) -> usize {
        1
    }
}

impl Sampling<3> for TextToImage {
    type Model = GuidedFlux;
    type Cond = PromptCond;
    type Sampler = FlowMatchEuler;

    fn denoiser(&self) -> &GuidedFlux {
        &self.denoiser
    }

    fn sampler(&self) -> &FlowMatchEuler {
        &self.sampler
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn noise(&self, seeds: &[u64]) -> Tensor<3> {
        let channels = self.flux().config().out_channels / packing::PATCH.pow(2);
        packing::noise(self.settled.canvas, channels, seeds, &self.device)
    }

    fn condition(&self, prompts: &[Prompt]) -> Result<PromptCond> {
        let wanted: Vec<&Prompt> = prompts.iter().collect();
        let conditional = self.cond_of(&wanted).about("the prompt")?;
        let Some(negative) = &self.negative else {
            return Ok(PromptCond::One(Box::new(conditional)));
        };
        let unconditional = self.cond_of(&vec![negative; prompts.len()]).about("the negative prompt")?;
        Ok(PromptCond::Two(Box::new(TwoPassCond { conditional, unconditional })))
    }

    fn images(&self, samples: Tensor<3>) -> Result<Array4<f32>> {
        let latents = unpack(samples, self.settled.canvas);
        match &self.autoencoder {
            Some(autoencoder) => decode(autoencoder, latents),
            None => to_array(latents),
        }
    }

    fn shows_images(&self) -> bool {
        self.autoencoder.is_some()
    }

    fn sample_span(&self) -> f64 {
        2.0
    }
}

impl Caching<3> for TextToImage {
    fn schedule(&self) -> Option<&Arc<Schedule>> {
        self.schedule.as_ref()
    }

    fn set_schedule(&mut self, schedule: Option<Arc<Schedule>>) {
        self.schedule = schedule;
    }
}

impl Calibrating<3> for TextToImage {
    /// The scale that FLUX.1-dev is told is part of its network; a negative prompt can be taken away.
    fn unguided(&self) -> Option<Self> {
        let denoiser = match &self.denoiser {
            GuidedFlux::Plain(_) => return None,
            GuidedFlux::TwoPass(guided) => GuidedFlux::Plain(guided.model.clone()),
        };
        let settled = Settled { true_cfg_scale: None, ..self.settled };
        Some(Self { denoiser, settled, negative: None, schedule: None, ..self.clone() })
    }

    /// The authors' script measures the single blocks before their projection. One run at a time, and features held as far
    /// back as a quarter of the memory allows: what is not, is measured in a second pass, with the same result.
    fn record_options(&self) -> RecordOptions {
        let default = RecordOptions::default();
        let step = recorded_bytes(&self.flux().topology());
        let room = available().map_or(default.module_window, |bytes| (bytes / 4 / step.max(1)) as usize);
        let module_window = room.clamp(1, default.module_window);
        RecordOptions { probe: true, module_window, ..default }
    }

    /// One run at a time: several would take several times the memory that was announced.
    fn concurrency(&self) -> Concurrency {
        Concurrency::Sequential
    }

    /// Every prompt once; the published calibration has five.
    fn default_runs(&self) -> usize {
        self.prompts.len()
    }
}

impl Resampling<3> for TextToImage {
    fn solvers(&self) -> &'static [SamplerKind] {
        &[SamplerKind::FlowMatchEuler]
    }

    fn with_steps(&self, steps: &[usize]) -> Result<Self> {
        let sigmas = self.sampler.sigmas();
        let sigmas = chosen(&sigmas[..sigmas.len() - 1], steps)?;
        let settled = Settled { steps: steps.len(), ..self.settled };
        let sampler = FlowMatchEuler::from_sigmas(sigmas)?;
        Ok(Self { sampler, settled, schedule: None, ..self.clone() })
    }

    fn with_sampler(&self, sampler: SamplerKind, num_inference_steps: usize) -> Result<Self> {
        match sampler {
            SamplerKind::FlowMatchEuler => {}
            SamplerKind::Ddim | SamplerKind::DpmSolverPlusPlus | SamplerKind::UniPc | SamplerKind::UniPc3 => {
                let problem = format_args!(
                    "{sampler}: FLUX predicts a velocity along straight paths, which flow-match-euler samples"
                );
                return Err(Error::setting("sampler", problem));
            }
        }
        let shift = self.shift.of(self.settled.canvas.image_tokens());
        let settled = Settled { steps: num_inference_steps, ..self.settled };
        let sampler = FlowMatchEuler::new(num_inference_steps, shift)?;
        Ok(Self { sampler, settled, schedule: None, ..self.clone() })
    }
}

/// Bytes of the features of one step that a calibration compares: in f32, and those of a single block's feed-forward four
/// times as wide as they are cached.
pub(super) fn recorded_bytes(topology: &Topology) -> u64 {
    let wide = |spec: &SiteSpec| if spec.site.kind == Kind::SINGLE_MLP { 4 } else { 1 };
    let elements: usize = topology.sites.iter().map(|spec| wide(spec) * spec.elements()).sum();
    (elements * size_of::<f32>()) as u64
}
