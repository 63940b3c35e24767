//! A run of FLUX that is checked and counted, before anything is loaded.

use burn::tensor::Device;
use invardiff_models::{Architecture, Flux, FluxConfig, LoadOptions, Outline};
use invardiff_plan::{Schedule, Topology};
use invardiff_runtime::FlowMatchEuler;

use super::options::{Settled, TextToImageOptions, named};
use super::packing::PATCH;
use super::pipeline::{TextToImage, recorded_bytes};
use super::prompt::PromptEncoder;
use crate::decode;
use crate::error::{Error, Result};
use crate::memory::{MemoryNeed, Phase};
use crate::pretrained::{FlowShift, Pretrained, SchedulerConfig};

/// A FLUX model and options that fit it. Nothing of the weights is read yet.
#[derive(Clone, Debug)]
pub struct PreparedFlux<'a> {
    pub(super) parts: &'a Pretrained,
    pub(super) options: &'a TextToImageOptions,
    pub(super) outline: Outline<FluxConfig>,
    pub(super) settled: Settled,
    pub(super) shift: FlowShift,
    pub(super) sampler: FlowMatchEuler,
}

impl<'a> PreparedFlux<'a> {
    /// Checks the options against the model.
    ///
    /// # Errors
    /// When the model is no FLUX, a part is missing, or an option does not fit it.
    pub fn new(parts: &'a Pretrained, options: &'a TextToImageOptions) -> Result<Self> {
        parts.expect(Architecture::Flux)?;
        let outline = Flux::outline_of(&parts.transformer, parts.section.as_deref())?;
        let settled = options.settle(&outline.config)?;
        parts.expect_edit(options.image.is_some())?;
        let shift = shift(parts, &outline.config)?;
        let sampler = FlowMatchEuler::new(settled.steps, shift.of(settled.canvas.image_tokens()))?;
        Ok(Self { parts, options, outline, settled, shift, sampler })
    }

    /// The model's name, as plans have it.
    pub fn model_name(&self) -> String {
        named(&self.outline.config, self.settled.reference)
    }

    /// The sampler.
    pub fn sampler(&self) -> &FlowMatchEuler {
        &self.sampler
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.settled.steps
    }

    /// The sites of a step, both passes together where there are two.
    pub fn topology(&self) -> Topology {
        let topology = self.outline.config.topology_with(self.settled.canvas, self.settled.reference);
        if self.settled.true_cfg_scale.is_some() { topology.batched(2) } else { topology }
    }

    /// What a run of `batch` images at once will take, under a schedule or without one, or for a calibration.
    ///
    /// # Errors
    /// When a part is missing, or not whole.
    pub fn memory(&self, batch: usize, keeps: Keeps<'_>) -> Result<MemoryNeed> {
        let (size, text_size) =
            (self.options.dtype.size() as u64, self.options.dtype.of_text().size() as u64);
        let mut phases = Vec::new();
        if let Some(text) = &self.parts.text {
            for (name, what, path) in [
                ("encoding prompts with CLIP", "CLIP's weights", &text.clip),
                ("encoding prompts with T5, CLIP dropped", "T5's weights", &text.t5),
            ] {
                let weights = Outline::of(path)?.elements * text_size;
                phases.push(Phase { name, parts: vec![(what.to_owned(), weights)] });
            }
        }
        let transformer = ("transformer's weights".to_owned(), self.outline.elements * size);
        let activations = (format!("activations of a block, {batch} at once"), self.activations(batch));
        let mut sampling = vec![transformer.clone(), activations];
        match keeps {
            Keeps::Nothing => {}
            Keeps::Schedule(schedule) => {
                let kept = schedule.peak_bytes(batch, size as usize) as u64;
                sampling.push(("kept features".to_owned(), kept));
            }
            Keeps::Calibration => {
                let Settled { canvas, reference, .. } = self.settled;
                let step = recorded_bytes(&self.outline.config.topology_with(canvas, reference));
                sampling.push(("features of a step, to be compared with the next".to_owned(), 2 * step));
            }
        }
        let autoencoder = self.parts.autoencoder.as_ref().map(Outline::of).transpose()?;
        // Kept in f32 whatever the transformer's type.
        let autoencoder = autoencoder
            .map(|outline| ("autoencoder's weights".to_owned(), outline.elements * size_of::<f32>() as u64));
        sampling.extend(autoencoder.clone());
        if let (Some(image), Some(autoencoder)) = (&self.options.image, &autoencoder) {
            let (height, width) = image.size();
            let encoding =
                ("activations of encoding the image".to_owned(), decode::encoding_bytes(height, width));
            let parts = vec![transformer.clone(), autoencoder.clone(), encoding];
            phases.push(Phase { name: "encoding the image", parts });
        }
        phases.push(Phase { name: "sampling, text encoders dropped", parts: sampling });
        if let Some(autoencoder) = autoencoder {
            let tile = (
                "activations of a tile and the image".to_owned(),
                decode::held_bytes(self.settled.height, self.settled.width),
            );
            phases.push(Phase { name: "decoding", parts: vec![transformer, autoencoder, tile] });
        }
        Ok(MemoryNeed { phases })
    }

    /// The activations of the largest block: its inputs and outputs, the widened ones, and what lies between.
    fn activations(&self, batch: usize) -> u64 {
        /// Values of a token's width that are held at once. Measured at full width with the example `flux_wide` of
        /// `invardiff-models`, kept features taken off: at most 0.35 GiB at 512 x 512, where this gives as much, and at most
        /// 0.58 at 1024 x 1024, where it gives 1.05.
        const HELD: u64 = 20;
        let (canvas, width) = (self.settled.canvas, self.outline.config.hidden_size() as u64);
        let reference = self.settled.reference.iter().product::<usize>();
        let tokens = (canvas.image_tokens() + reference + canvas.text_tokens) as u64;
        // Attention and norms compute in f32, whatever the weights are.
        HELD * tokens * width * size_of::<f32>() as u64 * batch as u64
    }

    /// Encodes the prompts, drops the text encoders, and loads the transformer.
    ///
    /// # Errors
    /// When a part cannot be loaded, or parts do not belong together.
    pub fn load(&self, prompts: &[&str], device: &Device) -> Result<TextToImage> {
        if prompts.is_empty() {
            return Err(Error::Request("there is no prompt".to_owned()));
        }
        let encoder = PromptEncoder::new(self.parts, self.settled.canvas.text_tokens, self.options.dtype)?;
        let negative = self.options.negative_prompt.as_deref();
        let all: Vec<&str> = prompts.iter().copied().chain(negative).collect();
        let encoded = encoder.encode(&all, &self.outline.config, device)?;
        drop(encoder);
        let mut options =
            LoadOptions::default().with_dtype(self.options.dtype.burn()).with_loras(self.parts.loras.clone());
        options.section.clone_from(&self.parts.section);
        let loaded = Flux::load_with(&self.parts.transformer, &options, device)?;
        let channels = self.outline.config.out_channels / PATCH.pow(2);
        let autoencoder = self.parts.autoencoder.as_deref();
        let autoencoder = autoencoder.map(|path| decode::load(path, channels, device)).transpose()?;
        let image = match (&self.options.image, &autoencoder) {
            (None, _) => None,
            (Some(image), Some(autoencoder)) => Some(image.tokens(autoencoder, device)),
            (Some(_), None) => {
                let name = &self.parts.name;
                let problem = format!(
                    "{name}: an image is edited as latents, and there is no autoencoder (vae) to make them"
                );
                return Err(Error::Model(problem));
            }
        };
        Ok(TextToImage::assemble(
            self.settled,
            (self.sampler.clone(), self.shift),
            loaded,
            autoencoder,
            (encoded, image),
            device,
        ))
    }
}

/// The shift of a model's sigmas: what its folder says, or what was published with the weights.
fn shift(parts: &Pretrained, config: &FluxConfig) -> Result<FlowShift> {
    match parts.scheduler {
        Some(SchedulerConfig::FlowMatchEuler(shift)) => Ok(shift),
        Some(SchedulerConfig::Ddim(_)) => {
            let name = &parts.name;
            let problem = format!("{name}: scheduler_config.json is one of DDIM, which does not sample FLUX");
            Err(Error::Model(problem))
        }
        Some(SchedulerConfig::Other { class, .. }) => {
            let name = &parts.name;
            let problem = format!("{name}: the scheduler is a {class}, which does not sample FLUX");
            Err(Error::Model(problem))
        }
        None if config.guidance_embeds => Ok(FlowShift::DEV),
        None => Ok(FlowShift::SCHNELL),
    }
}

/// What is kept from step to step.
#[derive(Clone, Copy, Debug)]
pub enum Keeps<'a> {
    /// Nothing: everything is computed.
    Nothing,
    /// What a schedule reads later.
    Schedule(&'a Schedule),
    /// What a calibration compares, one run at a time.
    Calibration,
}
