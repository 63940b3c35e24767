//! What commands and comparisons need of a pipeline, whatever it is asked by.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use invardiff_calib::{Concurrency, RecordOptions, Run, Session};
use invardiff_plan::core::{Calibration, Mismatch};
use invardiff_plan::two_phase::Variant;
use invardiff_plan::{CachePlan, PlanError, RunSpec, Schedule};
use invardiff_runtime::{Denoiser, Full, Policy, Replay, Sampler, sample_with};
use ndarray::Array4;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::sampler::SamplerKind;

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

/// From a subject (a class, a prompt) to an image, cached by a plan or not. `D` is the rank of the model's sample: 4 for
/// DiT, 3 for the packed latents of FLUX.
///
/// A pipeline is a value: [`Pipeline::enable_cache`] changes what it replays and nothing else, and two clones draw at the
/// same time without touching each other.
pub trait Pipeline<const D: usize>: Clone + Send + Sync {
    /// The network as it is sampled, with its guidance.
    type Model: Denoiser<D, Cond = Self::Cond> + Sync;
    /// What the network is conditioned on.
    type Cond: Clone + Send + Sync;
    /// The sampler.
    type Sampler: Sampler<D> + Sync;
    /// What an image is asked for by: a class, a prompt.
    type Subject: Clone + Send + Sync;

    /// The model's name, as plans and reports use it.
    fn name(&self) -> &str;

    /// SHA-256 of the weights, hexadecimal.
    fn weights_sha256(&self) -> &str;

    /// The network as it is sampled, with its guidance.
    fn denoiser(&self) -> &Self::Model;

    /// The sampler.
    fn sampler(&self) -> &Self::Sampler;

    /// The device.
    fn device(&self) -> &Device;

    /// The guidance scale; `None` without guidance.
    fn guidance_scale(&self) -> Option<f32>;

    /// The element type of weights and kept features.
    fn dtype(&self) -> Dtype;

    /// Forwards of a step: 2 where guidance takes two passes, each with features of its own. A schedule's peak is then an
    /// upper bound of what is kept.
    fn passes(&self) -> usize {
        1
    }

    /// Whose boundary rules a calibration of this model follows.
    fn variant(&self) -> Variant;

    /// What a plan for this pipeline must have been made for.
    fn execution(&self) -> RunSpec;

    /// The same model without guidance, uncached; `None` where guidance cannot be taken away.
    fn unguided(&self) -> Option<Self>;

    /// Samplers that could draw the same images in fewer steps.
    fn solvers(&self) -> &'static [SamplerKind];

    /// The same sampler over some of its own steps, uncached: which of them, rising. Solvers of several steps look back over
    /// the steps that are left.
    ///
    /// # Errors
    /// When there are none, they do not rise, or there is no such step.
    fn with_steps(&self, steps: &[usize]) -> Result<Self>;

    /// The same model and guidance under another sampler, uncached.
    ///
    /// # Errors
    /// When the sampler does not suit the model or cannot have so many steps.
    fn with_sampler(&self, sampler: SamplerKind, num_inference_steps: usize) -> Result<Self>;

    /// The subject of image `index`, where none is named: classes or prompts in turn.
    fn subject(&self, index: usize) -> Self::Subject;

    /// What a model that was trained to do without a subject is asked then: the null class of guidance. `None` where there
    /// is no such subject.
    fn null_subject(&self) -> Option<Self::Subject>;

    /// Images to draw at once where nothing is said.
    fn default_batch(&self) -> usize;

    /// How a calibration measures this model.
    fn record_options(&self) -> RecordOptions;

    /// How the runs of a calibration share the device.
    fn concurrency(&self) -> Concurrency {
        Concurrency::on(self.device())
    }

    /// How many trajectories a calibration measures where nothing is said.
    fn default_runs(&self) -> usize;

    /// The seed of each of `count` calibration runs: from `seed` on; for FLUX `seed` every time, since the authors' script
    /// starts every prompt from the same noise.
    fn calibration_seeds(&self, count: usize, seed: u64) -> Vec<u64> {
        let of_run = |run: u64| match self.variant() {
            Variant::Dit | Variant::Wan => seed.wrapping_add(run),
            Variant::Flux => seed,
        };
        (0..count as u64).map(of_run).collect()
    }

    /// `count` calibration runs of one image each: subjects in turn, with the seeds of [`Pipeline::calibration_seeds`].
    ///
    /// # Errors
    /// When a condition cannot be made.
    fn calibration_runs(&self, count: usize, seed: u64) -> Result<Vec<Run<D, Self::Cond>>> {
        let seeds = self.calibration_seeds(count, seed).into_iter().enumerate();
        let run = |(index, seed)| {
            Ok(Run { noise: self.noise(&[seed]), cond: self.condition(&[self.subject(index)])? })
        };
        seeds.map(run).collect()
    }

    /// Where what is measured on [`Pipeline::calibration_runs`] comes from.
    fn calibration_origin(&self, count: usize, seed: u64) -> Calibration {
        Calibration {
            conditions: (0..count).map(|run| self.describe(&self.subject(run))).collect(),
            seeds: self.calibration_seeds(count, seed),
            guidance_scale: self.guidance_scale(),
        }
    }

    /// A session on some runs, which share the device as this model can.
    ///
    /// # Errors
    /// When there is no run, or the sampler draws noise at its steps.
    fn session<'a>(
        &'a self,
        runs: &'a [Run<D, Self::Cond>],
    ) -> Result<Session<'a, D, Self::Model, Self::Sampler>> {
        let session = Session::new(self.denoiser(), self.sampler(), runs)?;
        Ok(session.with_concurrency(self.concurrency()).with_span(self.sample_span()))
    }

    /// The class that a subject is, where it is one.
    fn class(&self, subject: &Self::Subject) -> Option<usize>;

    /// A subject in words.
    fn describe(&self, subject: &Self::Subject) -> String;

    /// The starting noise of one image a seed: an image depends on its seed alone, not on the batch it is in.
    ///
    /// # Shapes
    /// - result: the model's sample, `seeds` rows
    fn noise(&self, seeds: &[u64]) -> Tensor<D>;

    /// The condition of a batch, as this pipeline's network takes it.
    ///
    /// # Errors
    /// For a subject that the model does not know.
    fn condition(&self, subjects: &[Self::Subject]) -> Result<Self::Cond>;

    /// Samples as images, in `-1 ..= 1` (not clamped); samples that are latents and cannot be decoded as they are.
    ///
    /// # Shapes
    /// - result: `[images, channels, height, width]`
    ///
    /// # Errors
    /// When the device fails.
    fn images(&self, samples: Tensor<D>) -> Result<Array4<f32>>;

    /// Whether [`Pipeline::images`] gives something to look at, and not latents.
    fn shows_images(&self) -> bool;

    /// The span of the sample's values, in which a PSNR of samples is given: 2 where it is not known.
    fn sample_span(&self) -> f64;

    /// The schedule that is replayed.
    fn schedule(&self) -> Option<&Arc<Schedule>>;

    /// Replays `schedule` from now on, or computes everything.
    fn set_schedule(&mut self, schedule: Option<Arc<Schedule>>);

    /// Lowers a plan for this pipeline.
    ///
    /// # Errors
    /// When the plan cannot run here at all: other sites, another number of steps, a sampler that draws noise.
    fn lower(&self, plan: &CachePlan) -> Result<Arc<Schedule>> {
        self.sampler().deterministic()?;
        let (planned, steps) = (plan.full_steps(), self.sampler().steps());
        if planned != steps {
            return Err(Error::Request(format!(
                "the plan is for {planned} steps, the sampler has {steps}: a plan cannot be stretched as it is; calibrate for this \
                 number of steps, or transfer it (`transfer`, `invardiff plan transfer`)"
            )));
        }
        Ok(Arc::new(plan.schedule(&self.denoiser().topology())?))
    }

    /// Replays `plan` from now on.
    ///
    /// # Errors
    /// When the plan was made for another model, sampler, step list, size, guidance or dtype, does not fit the model's
    /// sites, or the sampler draws noise.
    fn enable_cache(&mut self, plan: &CachePlan) -> Result<()> {
        plan.check(&self.execution())?;
        let schedule = self.lower(plan)?;
        self.set_schedule(Some(schedule));
        Ok(())
    }

    /// Replays `plan` although it may have been made for another run; what differs is returned.
    ///
    /// # Errors
    /// When the plan cannot run here at all: other sites, another number of steps, a sampler that draws noise.
    fn force_cache(&mut self, plan: &CachePlan) -> Result<Vec<Mismatch>> {
        let schedule = self.lower(plan)?;
        self.set_schedule(Some(schedule));
        match plan.check(&self.execution()) {
            Ok(()) => Ok(Vec::new()),
            Err(PlanError::OtherRun(found)) => Ok(found),
            Err(other) => Err(other.into()),
        }
    }

    /// Computes everything from now on.
    fn disable_cache(&mut self) {
        self.set_schedule(None);
    }

    /// Samples of `subjects` from the noise of `seeds`, one each.
    ///
    /// # Shapes
    /// - result: the model's sample, one row a subject
    ///
    /// # Errors
    /// For a subject that the model does not know, when there is not one seed a subject, or when a sampled value is NaN or
    /// infinite.
    fn generate(&self, subjects: &[Self::Subject], seeds: &[u64]) -> Result<Tensor<D>> {
        Ok(self.generate_measured(subjects, seeds)?.0)
    }

    /// [`Pipeline::generate`], with the most bytes that the cache held.
    ///
    /// # Errors
    /// As [`Pipeline::generate`].
    fn generate_measured(&self, subjects: &[Self::Subject], seeds: &[u64]) -> Result<(Tensor<D>, usize)> {
        self.generate_with(subjects, seeds, &mut || {})
    }

    /// [`Pipeline::generate_measured`], calling `progress` after every step.
    ///
    /// # Errors
    /// As [`Pipeline::generate`].
    fn generate_with(
        &self,
        subjects: &[Self::Subject],
        seeds: &[u64],
        progress: &mut dyn FnMut(),
    ) -> Result<(Tensor<D>, usize)> {
        match self.schedule() {
            None => Ok((self.generate_under(&mut Full, subjects, seeds, progress)?, 0)),
            Some(schedule) => {
                let mut replay = Replay::new(schedule.clone());
                let samples = self.generate_under(&mut replay, subjects, seeds, progress)?;
                Ok((samples, replay.store().peak_bytes()))
            }
        }
    }

    /// [`Pipeline::generate`] under any policy, whatever is enabled, calling `progress` after every step.
    ///
    /// # Errors
    /// As [`Pipeline::generate`], and when a sampled value is NaN or infinite.
    fn generate_under<P: Policy>(
        &self,
        policy: &mut P,
        subjects: &[Self::Subject],
        seeds: &[u64],
        progress: &mut dyn FnMut(),
    ) -> Result<Tensor<D>> {
        let (asked, given) = (subjects.len(), seeds.len());
        if asked != given || asked == 0 {
            let problem =
                format!("{asked} subjects and {given} seeds: one seed per subject, and at least one");
            return Err(Error::Request(problem));
        }
        let (noise, cond) = (self.noise(seeds), self.condition(subjects)?);
        let samples =
            sample_with(self.denoiser(), self.sampler(), policy, noise, &cond, |_, _, _| progress());
        // One read-back a batch, of values that are read back next.
        let broken = samples.clone().is_finite().bool_not().float().sum().into_scalar::<f32>();
        if broken > 0.0 {
            return Err(Error::Model(format!(
                "{broken} of {} sampled values are NaN or infinite: the weights, a LoRA file or the element type ({}) of {} \
                 make them so",
                samples.shape().num_elements(),
                self.dtype().name(),
                self.name()
            )));
        }
        Ok(samples)
    }
}

/// A tensor on the host.
///
/// # Errors
/// When the device fails.
pub fn to_array(x: Tensor<4>) -> Result<Array4<f32>> {
    let shape = x.dims();
    let values: Vec<f32> = x
        .into_data()
        .convert::<f32>()
        .try_to_vec()
        .map_err(|error| Error::device("reading a tensor back", error))?;
    Array4::from_shape_vec(shape, values).map_err(Error::shape)
}
