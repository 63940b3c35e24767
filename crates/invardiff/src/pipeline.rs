//! Pipelines: from a class to a picture.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Int, Tensor};
use invardiff_models::Dit;
use invardiff_plan::{CachePlan, Execution, Mismatch, PlanError, Schedule, Topology};
use invardiff_runtime::{
    BatchedGuidance, Denoiser, Executor, Full, GaussianNoise, Replay, Sampler, sample_with,
};

use crate::{DitSampler, NamedDit, SamplerKind};

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

/// How to sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingOptions {
    /// The sampler.
    pub sampler: SamplerKind,
    /// Its number of steps.
    pub num_inference_steps: usize,
    /// Guidance scale; 1 is no guidance. `None` takes the model's own, or 4 (the authors' demonstration).
    pub guidance_scale: Option<f32>,
    /// Noise that DDIM adds at each step; anything but 0 can be neither calibrated nor replayed.
    pub eta: f64,
}

impl Default for SamplingOptions {
    /// DDIM-50 at the model's own guidance scale.
    fn default() -> Self {
        Self { sampler: SamplerKind::Ddim, num_inference_steps: 50, guidance_scale: None, eta: 0.0 }
    }
}

/// Class-conditional sampling with a DiT, cached by a plan or not.
///
/// ```no_run
/// use invardiff::{ClassToImage, SamplingOptions};
/// use invardiff_plan::CachePlan;
///
/// let device = burn::tensor::Device::flex();
/// let mut pipeline = ClassToImage::from_pretrained("fashion", SamplingOptions::default(), &device)?;
/// pipeline.enable_cache(&CachePlan::read("plan.json")?)?;
/// let pictures = pipeline.generate(&[3, 5], &[0, 1])?; // [2, channels, height, width]
/// # Ok::<(), anyhow::Error>(())
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
        ensure!(scale.is_finite(), "--guidance-scale is {scale}, expected a finite number");
        // The authors guide three of the four latent channels; models of pixels are guided whole.
        let channels = (config.pixel_range.is_none() && config.in_channels == 4).then_some(3);
        let dit = model.loaded.dit.clone();
        let (denoiser, guidance_scale) = if scale == 1.0 {
            (GuidedDit::Plain(dit), None)
        } else {
            (GuidedDit::Guided(BatchedGuidance { model: dit, scale, channels }), Some(scale))
        };
        Ok(Self { model, denoiser, sampler, guidance_scale, schedule: None, device: device.clone() })
    }

    /// The same model without guidance, uncached.
    pub fn unguided(&self) -> Self {
        let denoiser = GuidedDit::Plain(self.model.loaded.dit.clone());
        Self { denoiser, guidance_scale: None, schedule: None, ..self.clone() }
    }

    /// The same model and guidance under another sampler, uncached.
    ///
    /// # Errors
    /// When the sampler cannot have so many steps.
    pub fn resampled(&self, sampler: SamplerKind, num_inference_steps: usize) -> Result<Self> {
        let sampler = DitSampler::new(sampler, self.model.config(), num_inference_steps, 0.0)?;
        Ok(Self { sampler, schedule: None, ..self.clone() })
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

    /// The network as it is sampled, with its guidance.
    pub fn denoiser(&self) -> &GuidedDit {
        &self.denoiser
    }

    /// The sampler.
    pub fn sampler(&self) -> &DitSampler {
        &self.sampler
    }

    /// The guidance scale; `None` without guidance.
    pub fn guidance_scale(&self) -> Option<f32> {
        self.guidance_scale
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What a plan for this pipeline must have been made for.
    pub fn execution(&self) -> Execution {
        let size = self.model.config().input_size;
        Execution {
            model: self.model.name.clone(),
            weights_sha256: Some(self.model.loaded.sha256.clone()),
            sampler: self.sampler.name().to_owned(),
            timesteps: (0..self.sampler.steps()).map(|step| self.sampler.time(step)).collect(),
            height: size,
            width: size,
            guidance_scale: self.guidance_scale,
            dtype: "f32".to_owned(),
        }
    }

    /// Replays `plan` from now on.
    ///
    /// # Errors
    /// When the plan was made for another model, sampler, step list, size, guidance or dtype, does not fit the model's
    /// sites, or the sampler draws noise.
    pub fn enable_cache(&mut self, plan: &CachePlan) -> Result<()> {
        plan.check(&self.execution())?;
        self.schedule = Some(self.lower(plan)?);
        Ok(())
    }

    /// Replays `plan` although it may have been made for another run; what differs is returned.
    ///
    /// # Errors
    /// When the plan cannot run here at all: other sites, another number of steps, a sampler that draws noise.
    pub fn force_cache(&mut self, plan: &CachePlan) -> Result<Vec<Mismatch>> {
        self.schedule = Some(self.lower(plan)?);
        match plan.check(&self.execution()) {
            Ok(()) => Ok(Vec::new()),
            Err(PlanError::Execution(found)) => Ok(found),
            Err(other) => Err(other.into()),
        }
    }

    /// Computes everything from now on.
    pub fn disable_cache(&mut self) {
        self.schedule = None;
    }

    /// The schedule that is replayed.
    pub fn schedule(&self) -> Option<&Arc<Schedule>> {
        self.schedule.as_ref()
    }

    fn lower(&self, plan: &CachePlan) -> Result<Arc<Schedule>> {
        self.sampler.deterministic()?;
        ensure!(
            plan.steps() == self.sampler.steps(),
            "the plan has {} steps, the sampler {}: a plan cannot be stretched; calibrate for this number of steps",
            plan.steps(),
            self.sampler.steps()
        );
        Ok(Arc::new(plan.schedule(&self.denoiser.topology())?))
    }

    /// The starting noise of one picture a seed: a picture depends on its seed alone, not on the batch it is in.
    ///
    /// # Shapes
    /// - result: `[seeds, channels, height, width]`
    pub fn noise(&self, seeds: &[u64]) -> Tensor<4> {
        let config = self.model.config();
        let shape = [1, config.in_channels, config.input_size, config.input_size];
        let each = seeds.iter().map(|seed| GaussianNoise::seeded(*seed).draw(shape, &self.device));
        Tensor::cat(each.collect(), 0)
    }

    /// The condition of a batch of classes, as this pipeline's network takes it.
    ///
    /// # Errors
    /// For a class that the model does not have.
    pub fn condition(&self, labels: &[usize]) -> Result<Tensor<1, Int>> {
        let dit = &self.model.loaded.dit;
        let wanted = dit.labels(labels, &self.device).context("--class-labels")?;
        Ok(match self.denoiser {
            GuidedDit::Plain(_) => wanted,
            GuidedDit::Guided(_) => Tensor::cat(vec![wanted, dit.null_labels(labels.len(), &self.device)], 0),
        })
    }

    /// Pictures of classes `labels` from the noise of `seeds`, one each.
    ///
    /// # Shapes
    /// - result: `[labels, channels, height, width]`, in the model's range of values
    ///
    /// # Errors
    /// For a class that the model does not have, or when there is not one seed a label.
    pub fn generate(&self, labels: &[usize], seeds: &[u64]) -> Result<Tensor<4>> {
        Ok(self.generate_measured(labels, seeds)?.0)
    }

    /// [`ClassToImage::generate`], with the most bytes that the cache held.
    ///
    /// # Errors
    /// As [`ClassToImage::generate`].
    pub fn generate_measured(&self, labels: &[usize], seeds: &[u64]) -> Result<(Tensor<4>, usize)> {
        self.generate_with(labels, seeds, &mut || {})
    }

    /// [`ClassToImage::generate_measured`], calling `progress` after every step.
    ///
    /// # Errors
    /// As [`ClassToImage::generate`].
    pub fn generate_with(
        &self,
        labels: &[usize],
        seeds: &[u64],
        progress: &mut dyn FnMut(),
    ) -> Result<(Tensor<4>, usize)> {
        ensure!(
            labels.len() == seeds.len() && !labels.is_empty(),
            "{} class labels and {} seeds: one seed a label, and at least one",
            labels.len(),
            seeds.len()
        );
        let (noise, cond) = (self.noise(seeds), self.condition(labels)?);
        let (denoiser, sampler) = (&self.denoiser, &self.sampler);
        Ok(match &self.schedule {
            None => (sample_with(denoiser, sampler, &mut Full, noise, &cond, |_, _, _| progress()), 0),
            Some(schedule) => {
                let mut policy = Replay::new(schedule.clone());
                let pictures =
                    sample_with(denoiser, sampler, &mut policy, noise, &cond, |_, _, _| progress());
                (pictures, policy.store().peak_bytes())
            }
        })
    }
}
