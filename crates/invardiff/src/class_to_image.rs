//! Class-conditional images from a DiT.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use invardiff_calib::RecordOptions;
use invardiff_models::Dit;
use invardiff_plan::two_phase::Variant;
use invardiff_plan::{RunSpec, Schedule, Topology};
use invardiff_runtime::{BatchedGuidance, Denoiser, Executor, GaussianNoise, Sampler};
use ndarray::Array4;

use crate::decode::decode;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::model::NamedDit;
use crate::pipeline::{
    Caching, Calibrating, ModelFacts, Resampling, Sampling, SamplingOptions, Subjects, to_array,
};
use crate::sampler::{DitSampler, SamplerKind};

/// A DiT with or without classifier-free guidance.
#[derive(Clone, Debug)]
pub enum GuidedDit {
    /// The conditional prediction alone.
    Plain(Dit),
    /// Both halves in one batch.
    Guided(BatchedGuidance<Dit>),
}

impl Denoiser<4> for GuidedDit {
    type Cond = Tensor<1, Int>;

    fn topology(&self) -> Topology {
        match self {
            Self::Plain(model) => model.topology(),
            Self::Guided(model) => model.topology(),
        }
    }

    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<4>, t: f32, cond: &Self::Cond) -> Tensor<4> {
        match self {
            Self::Plain(model) => model.predict(exec, x, t, cond),
            Self::Guided(model) => model.predict(exec, x, t, cond),
        }
    }
}

/// Class-conditional sampling with a DiT, cached by a plan or not.
///
/// ```no_run
/// use invardiff::prelude::*;
/// use invardiff_plan::CachePlan;
///
/// let device = burn::tensor::Device::flex();
/// let mut pipeline = ClassToImage::from_pretrained("fashion", SamplingOptions::default(), &device)?;
/// pipeline.enable_cache(&CachePlan::read("plan.json")?)?;
/// let images = pipeline.generate(&[3, 5], &[0, 1])?; // [2, channels, height, width]
/// # Ok::<(), invardiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClassToImage {
    model: NamedDit,
    denoiser: GuidedDit,
    sampler: DitSampler,
    guidance_scale: Option<f32>,
    schedule: Option<Arc<Schedule>>,
    device: Device,
}

impl ClassToImage {
    /// Images to draw at once where nothing is said.
    pub const DEFAULT_BATCH: usize = 5;
    /// Runs of a calibration where nothing is said, as published.
    pub const DEFAULT_RUNS: usize = 16;

    /// A pipeline for an embedded model (`fashion`, `emoji`) or the weights at a path.
    ///
    /// # Errors
    /// When the model cannot be loaded or the options do not fit it.
    pub fn from_pretrained(model: &str, options: SamplingOptions, device: &Device) -> Result<Self> {
        Self::new(NamedDit::open(model, device)?, options, device)
    }

    /// A pipeline for a loaded model.
    ///
    /// # Errors
    /// When the options do not fit the model.
    pub fn new(model: NamedDit, options: SamplingOptions, device: &Device) -> Result<Self> {
        let config = model.config();
        let sampler = DitSampler::new(options.sampler, config, options.num_inference_steps, options.eta)?;
        let scale = options.guidance_scale.or(config.guidance_scale).unwrap_or(4.0);
        if !scale.is_finite() {
            return Err(Error::setting(
                "guidance_scale",
                format_args!("is {scale}, expected a finite number"),
            ));
        }
        // The authors guide three of the four latent channels; models of pixels are guided whole.
        let channels = (config.pixel_range.is_none() && config.in_channels == 4).then_some(3);
        let dit = model.loaded.model.clone();
        let (denoiser, guidance_scale) = if scale == 1.0 {
            (GuidedDit::Plain(dit), None)
        } else {
            (GuidedDit::Guided(BatchedGuidance { model: dit, scale, channels }), Some(scale))
        };
        Ok(Self { model, denoiser, sampler, guidance_scale, schedule: None, device: device.clone() })
    }

    /// The same pipeline, uncached, with a share `eta` of fresh noise at every step. The noise is that of `seed`, and another
    /// than the starting noise of the same seed.
    ///
    /// # Errors
    /// When `eta` is not in `[0, 1]`, or not 0 and the sampler draws no noise.
    pub fn with_eta(&self, eta: f64, seed: u64) -> Result<Self> {
        let sampler = self.sampler.clone().with_eta(eta, !seed)?;
        Ok(Self { sampler, schedule: None, ..self.clone() })
    }

    /// The model.
    pub fn model(&self) -> &NamedDit {
        &self.model
    }
}

impl ModelFacts for ClassToImage {
    fn name(&self) -> &str {
        &self.model.name
    }

    fn weights_sha256(&self) -> &str {
        &self.model.loaded.sha256
    }

    fn guidance_scale(&self) -> Option<f32> {
        self.guidance_scale
    }

    fn dtype(&self) -> Dtype {
        Dtype::of(self.model.loaded.model.dtype())
    }

    fn variant(&self) -> Variant {
        Variant::Dit
    }

    fn execution(&self) -> RunSpec {
        let size = self.model.config().input_size;
        RunSpec {
            model: self.model.name.clone(),
            weights_sha256: Some(self.model.loaded.sha256.clone()),
            sampler: self.sampler.name().to_owned(),
            timesteps: (0..self.sampler.steps()).map(|step| self.sampler.time(step)).collect(),
            height: size,
            width: size,
            guidance_scale: self.guidance_scale,
            dtype: self.dtype().name().to_owned(),
        }
    }
}

impl Subjects for ClassToImage {
    type Subject = usize;

    fn subject(&self, index: usize) -> usize {
        index % self.model.config().num_classes
    }

    fn null_subject(&self) -> Option<usize> {
        Some(self.model.config().num_classes)
    }

    fn class(&self, subject: &usize) -> Option<usize> {
        Some(*subject)
    }

    fn describe(&self, subject: &usize) -> String {
        self.model.class_name(*subject)
    }

    fn default_batch(&self) -> usize {
        Self::DEFAULT_BATCH
    }
}

impl Sampling<4> for ClassToImage {
    type Model = GuidedDit;
    type Cond = Tensor<1, Int>;
    type Sampler = DitSampler;

    fn denoiser(&self) -> &GuidedDit {
        &self.denoiser
    }

    fn sampler(&self) -> &DitSampler {
        &self.sampler
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn noise(&self, seeds: &[u64]) -> Tensor<4> {
        let config = self.model.config();
        let shape = [1, config.in_channels, config.input_size, config.input_size];
        let each = seeds.iter().map(|seed| GaussianNoise::seeded(*seed).draw(shape, &self.device));
        Tensor::cat(each.collect(), 0)
    }

    fn condition(&self, labels: &[usize]) -> Result<Tensor<1, Int>> {
        let dit = &self.model.loaded.model;
        let wanted = dit.labels(labels, &self.device);
        let wanted = wanted
            .map_err(|error| Error::setting("class_labels", format_args!("do not fit the model: {error}")))?;
        Ok(match self.denoiser {
            GuidedDit::Plain(_) => wanted,
            GuidedDit::Guided(_) => Tensor::cat(vec![wanted, dit.null_labels(labels.len(), &self.device)], 0),
        })
    }

    fn images(&self, samples: Tensor<4>) -> Result<Array4<f32>> {
        if let Some(autoencoder) = &self.model.autoencoder {
            return decode(autoencoder, samples);
        }
        let [low, high] = self.model.config().pixel_range.unwrap_or([-1.0, 1.0]);
        Ok(to_array(samples)?.mapv_into(|value| (value - low) / (high - low) * 2.0 - 1.0))
    }

    fn shows_images(&self) -> bool {
        let config = self.model.config();
        self.model.autoencoder.is_some()
            || config.pixel_range.is_some() && matches!(config.in_channels, 1 | 3)
    }

    fn sample_span(&self) -> f64 {
        let [low, high] = self.model.config().pixel_range.unwrap_or([-1.0, 1.0]);
        f64::from(high - low)
    }
}

impl Caching<4> for ClassToImage {
    fn schedule(&self) -> Option<&Arc<Schedule>> {
        self.schedule.as_ref()
    }

    fn set_schedule(&mut self, schedule: Option<Arc<Schedule>>) {
        self.schedule = schedule;
    }
}

impl Calibrating<4> for ClassToImage {
    fn unguided(&self) -> Option<Self> {
        let denoiser = GuidedDit::Plain(self.model.loaded.model.clone());
        Some(Self { denoiser, guidance_scale: None, schedule: None, ..self.clone() })
    }

    fn record_options(&self) -> RecordOptions {
        RecordOptions::default()
    }

    /// As published.
    fn default_runs(&self) -> usize {
        Self::DEFAULT_RUNS
    }
}

impl Resampling<4> for ClassToImage {
    fn solvers(&self) -> &'static [SamplerKind] {
        // The last draws the converged images.
        &[SamplerKind::Ddim, SamplerKind::UniPc, SamplerKind::UniPc3, SamplerKind::DpmSolverPlusPlus]
    }

    fn with_steps(&self, steps: &[usize]) -> Result<Self> {
        let sampler = self.sampler.with_steps(self.model.config(), steps)?;
        Ok(Self { sampler, schedule: None, ..self.clone() })
    }

    fn with_sampler(&self, sampler: SamplerKind, num_inference_steps: usize) -> Result<Self> {
        let sampler = DitSampler::new(sampler, self.model.config(), num_inference_steps, 0.0)?;
        Ok(Self { sampler, schedule: None, ..self.clone() })
    }
}
