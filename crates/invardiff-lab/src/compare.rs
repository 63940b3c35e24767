//! Draws the same images with several candidates and compares cost and quality.

use std::sync::Arc;

use burn::tensor::Tensor;
use invardiff::{Caching, Pipeline, SamplerKind, on_processor};
use invardiff_calib::Mix;
use invardiff_eval::{Quality, Timings, alternate, psnr_each};
use invardiff_plan::core::Storage;
use invardiff_plan::methods::block_skip::SkipRule;
use invardiff_plan::methods::routers::Routers;
use invardiff_plan::{CachePlan, Cost};
use invardiff_runtime::{
    BlockSkip, Denoiser, Event, FlopCounter, Guard, Guarded, Observed, Replay, Sampler, ScaleShift,
};
use ndarray::{Array4, Axis, concatenate};

use crate::error::{Context, Error, Result, ensure};

/// One way to draw the images: a plan over the full run's sampler, or another sampler.
#[derive(Clone, Debug)]
pub struct Candidate<P> {
    /// A short name.
    pub name: String,
    /// A sentence that describes it.
    pub description: String,
    /// The pipeline, with its plan enabled.
    pub pipeline: P,
    /// What decides which modules run.
    pub decider: Decider,
    /// FLOPs relative to the full run, as predicted; for a rule, as if it skipped nothing.
    pub compute_fraction: f64,
}

/// What decides which of a candidate's modules run.
#[derive(Clone, Debug)]
pub enum Decider {
    /// The plan that is enabled in the pipeline, if any.
    Enabled,
    /// That plan, with trained scale-shift vectors applied to reused modules.
    Adjusted(Arc<ScaleShift>),
    /// Routers that blend fresh values with those cached one step before; saves no compute.
    Blended(Arc<Routers>),
    /// A guarded plan, which checks its predictions while sampling.
    Guarded(Arc<Guard>),
    /// A rule that decides from the hidden state, one image at a time.
    Rule(SkipRule),
}

impl<P> Candidate<P> {
    /// The full run.
    pub fn full<const D: usize>(full: &P) -> Self
    where
        P: Pipeline<D>,
    {
        let steps = full.sampler().steps();
        Self {
            name: "full".into(),
            description: format!("everything computed, {steps} steps of {}", full.sampler().name()),
            pipeline: full.clone(),
            decider: Decider::Enabled,
            compute_fraction: 1.0,
        }
    }

    /// A plan with the full run's sampler.
    ///
    /// # Errors
    /// When the plan does not fit.
    pub fn plan<const D: usize>(full: &P, name: &str, description: &str, plan: &CachePlan) -> Result<Self>
    where
        P: Pipeline<D>,
    {
        let mut pipeline = full.clone();
        pipeline.force_cache(plan)?;
        let compute_fraction = Cost::of(plan, &full.denoiser().topology())?.compute_fraction();
        Ok(Self {
            name: name.into(),
            description: description.into(),
            pipeline,
            decider: Decider::Enabled,
            compute_fraction,
        })
    }

    /// Fewer steps of a sampler, as near to `compute_fraction` of the full run as whole steps allow.
    ///
    /// # Errors
    /// When the sampler cannot have so few steps.
    pub fn fewer_steps<const D: usize>(full: &P, sampler: SamplerKind, compute_fraction: f64) -> Result<Self>
    where
        P: Pipeline<D>,
    {
        let of = full.sampler().steps();
        let steps = ((compute_fraction * of as f64).round() as usize).clamp(1, of);
        let pipeline = full.with_sampler(sampler, steps)?;
        let name = pipeline.sampler().name();
        Ok(Self {
            name: format!("{name} {steps}"),
            description: format!("no plan: {steps} steps of {name} instead of {of}"),
            pipeline,
            decider: Decider::Enabled,
            compute_fraction: steps as f64 / of as f64,
        })
    }

    /// A guarded gate with the full run's sampler. Its compute is known only after the run.
    pub fn guarded<const D: usize>(full: &P, name: &str, description: &str, guard: Guard) -> Self
    where
        P: Pipeline<D>,
    {
        let computed = guard.steps().iter().filter(|step| !step.skipped).count();
        Self {
            name: name.into(),
            description: description.into(),
            pipeline: full.clone(),
            compute_fraction: computed as f64 / guard.steps().len() as f64,
            decider: Decider::Guarded(Arc::new(guard)),
        }
    }

    /// A rule that decides while sampling, with the full run's sampler. Its compute is known only after the run.
    ///
    /// # Errors
    /// When the rule's settings are out of range, or the sampler draws noise.
    pub fn rule<const D: usize>(full: &P, name: &str, description: &str, rule: SkipRule) -> Result<Self>
    where
        P: Pipeline<D>,
    {
        full.sampler().deterministic()?;
        rule.decide(full.sampler().steps())?;
        Ok(Self {
            name: name.into(),
            description: description.into(),
            pipeline: full.clone(),
            decider: Decider::Rule(rule),
            compute_fraction: 1.0,
        })
    }

    /// The full run, with routers that blend fresh values with those cached one step before, as in their training.
    pub fn blended<const D: usize>(full: &P, name: &str, routers: Arc<Routers>) -> Self
    where
        P: Pipeline<D>,
    {
        let description = "everything computed, and blended by uncut weights as in training".into();
        Self { name: name.into(), description, decider: Decider::Blended(routers), ..Self::full(full) }
    }

    /// The same plan, with trained scale-shift vectors applied to reused modules.
    #[must_use]
    pub fn adjusted(self, adjustment: ScaleShift) -> Self {
        Self { decider: Decider::Adjusted(Arc::new(adjustment)), ..self }
    }

    /// The same candidate with cached features in another precision.
    pub fn storing<const D: usize>(mut self, storage: Storage) -> Self
    where
        P: Pipeline<D>,
    {
        let stored = self.pipeline.schedule().map(|schedule| Arc::new((**schedule).clone().storing(storage)));
        self.pipeline.set_schedule(stored);
        self
    }

    fn draw<const D: usize>(&self, subjects: &[P::Subject], seeds: &[u64]) -> Result<Batch<D>>
    where
        P: Pipeline<D>,
    {
        let (pipeline, compute) = (&self.pipeline, self.compute_fraction);
        match &self.decider {
            Decider::Enabled => {
                let (samples, bytes) = pipeline.generate_measured(subjects, seeds)?;
                Ok(Batch { samples, bytes, compute })
            }
            Decider::Adjusted(adjustment) => {
                let schedule =
                    pipeline.schedule().context("vectors belong to a plan, and none is enabled")?;
                let mut policy = Replay::with_adjustment(schedule.clone(), adjustment.clone());
                let samples = pipeline.generate_under(&mut policy, subjects, seeds, &mut || {})?;
                Ok(Batch { samples, bytes: policy.store().peak_bytes(), compute })
            }
            Decider::Blended(routers) => {
                let mut policy = Mix::soft(routers, pipeline.device())?;
                let samples = pipeline.generate_under(&mut policy, subjects, seeds, &mut || {})?;
                Ok(Batch { samples, bytes: 0, compute })
            }
            Decider::Guarded(guard) => {
                let mut policy = Guarded::new(guard);
                let samples = pipeline.generate_under(&mut policy, subjects, seeds, &mut || {})?;
                let more = policy.spent() as f64 / pipeline.sampler().steps() as f64;
                Ok(Batch { samples, bytes: policy.peak_bytes(), compute: compute + more })
            }
            Decider::Rule(rule) => Self::draw_each(pipeline, rule, subjects, seeds)
                .map(|batch| Batch { compute: batch.compute * compute, ..batch }),
        }
    }

    /// Draws each image under its own rule; the compute is the share of the run that was computed.
    fn draw_each<const D: usize>(
        pipeline: &P,
        rule: &SkipRule,
        subjects: &[P::Subject],
        seeds: &[u64],
    ) -> Result<Batch<D>>
    where
        P: Pipeline<D>,
    {
        let (steps, topology) = (pipeline.sampler().steps(), pipeline.denoiser().topology());
        let (mut samples, mut peak, mut compute) = (Vec::new(), 0, 0.0);
        for (subject, seed) in subjects.iter().zip(seeds) {
            let mut meter = FlopCounter::new(&topology);
            let look = |step, site, event: Event<'_>| meter.look(step, site, &event);
            let mut policy = Observed::new(BlockSkip::new(rule, steps)?, look);
            let one = std::slice::from_ref(subject);
            samples.push(pipeline.generate_under(&mut policy, one, &[*seed], &mut || {})?);
            peak = peak.max(policy.inner.peak_bytes());
            compute += meter.compute_fraction(steps);
        }
        let count = samples.len().max(1);
        Ok(Batch { samples: Tensor::cat(samples, 0), bytes: peak * count, compute: compute / count as f64 })
    }
}

/// One drawn batch.
struct Batch<const D: usize> {
    samples: Tensor<D>,
    /// Peak bytes of the cache.
    bytes: usize,
    /// FLOPs relative to the full run.
    compute: f64,
}

/// The results of a candidate.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Its images, `[images, channels, height, width]`, in `-1 ..= 1`.
    pub images: Array4<f32>,
    /// Metrics against the full run's images; SSIM is NaN for images of fewer than 11 rows or columns.
    pub quality: Quality,
    /// Metrics against the converged images, where these were drawn.
    pub converged: Option<Quality>,
    /// Seconds of each batch.
    pub timings: Timings,
    /// The median over batches of (seconds of the full run / seconds of this one), in the same round.
    pub speedup: f64,
    /// The same in CPU time, on the CPU only; it repeats better on a shared machine.
    pub cpu_speedup: Option<f64>,
    /// Peak bytes of a batch's cache, divided by its number of images.
    pub peak_bytes_per_image: usize,
    /// FLOPs relative to the full run: as predicted, or as counted for a guard or a rule.
    pub compute_fraction: f64,
}

/// The images to draw: one subject and one seed each, a batch at a time.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a, S> {
    /// The subject of each image.
    pub subjects: &'a [S],
    /// The seed of each image's noise.
    pub seeds: &'a [u64],
    /// Images drawn at once; the number of images is a multiple of it.
    pub batch: usize,
}

impl<S> Images<'_, S> {
    fn batches(&self) -> Result<Vec<(&[S], &[u64])>> {
        ensure!(
            self.batch > 0
                && self.subjects.len().is_multiple_of(self.batch)
                && self.subjects.len() == self.seeds.len(),
            "{} images and {} seeds in batches of {}",
            self.subjects.len(),
            self.seeds.len(),
            self.batch
        );
        Ok(self.subjects.chunks(self.batch).zip(self.seeds.chunks(self.batch)).collect())
    }
}

/// Rows and columns of SSIM's window (11 x 11, sigma 1.5).
const SSIM_WINDOW: usize = 11;

/// Draws `wanted` by one pipeline. Returns `[images, channels, height, width]` in `-1 ..= 1`. `progress` is called after every
/// batch.
///
/// # Errors
/// When the pipeline cannot draw them; when the number of images is not a multiple of the batch.
pub fn draw<const D: usize, P: Caching<D>>(
    pipeline: &P,
    wanted: &Images<'_, P::Subject>,
    progress: &dyn Fn(),
) -> Result<Array4<f32>> {
    let batches = wanted.batches()?.into_iter().map(|(subjects, seeds)| {
        let images = pipeline.images(pipeline.generate(subjects, seeds)?)?;
        progress();
        Ok(images)
    });
    stack(&batches.collect::<Result<Vec<_>>>()?)
}

/// Draws `wanted` by every candidate, batch by batch in turns in one process, and compares with the first, which is the
/// full run, and with `converged` where it is given. PSNR and SSIM are of images clamped to their range and scaled to
/// `0 ..= 1`, not rounded to bytes. Decoding latents is not timed.
///
/// # Errors
/// When a candidate cannot run; when the number of images is not a multiple of the batch.
pub fn compare<const D: usize, P: Pipeline<D>>(
    candidates: &[Candidate<P>],
    wanted: &Images<'_, P::Subject>,
    converged: Option<&Array4<f32>>,
    progress: &dyn Fn(),
) -> Result<Vec<Evaluation>> {
    let batches = wanted.batches()?;
    let mut drawn: Vec<(Vec<Tensor<D>>, usize, f64)> =
        candidates.iter().map(|_| (Vec::new(), 0, 0.0)).collect();
    let mut runs: Vec<_> = candidates
        .iter()
        .zip(&mut drawn)
        .map(|(candidate, (samples, peak, compute))| {
            let mut left = batches.iter();
            move || -> Result<()> {
                let (subjects, seeds) = left.next().context("one batch a round")?;
                let batch = candidate.draw(subjects, seeds)?;
                candidate.pipeline.device().sync()?;
                samples.push(batch.samples);
                *peak = (*peak).max(batch.bytes);
                *compute += batch.compute;
                progress();
                Ok(())
            }
        })
        .collect();
    let mut subjects: Vec<_> = runs.iter_mut().map(|run| run as invardiff_eval::Run<'_, Error>).collect();
    let timings = alternate(batches.len(), 0, &mut subjects)?;
    let mut images = Vec::with_capacity(candidates.len());
    for (candidate, (samples, peak, compute)) in candidates.iter().zip(drawn) {
        let batches = samples.into_iter().map(|batch| candidate.pipeline.images(batch));
        let mean = compute / batches.len() as f64;
        images.push((stack(&batches.collect::<Result<Vec<_>, _>>()?)?, peak, mean));
    }
    let full = images.first().map(|(full, ..)| unit(full)).context("no candidate")?;
    let by_processor = candidates.iter().all(|candidate| on_processor(candidate.pipeline.device()));
    let converged = converged.map(unit);
    images
        .into_iter()
        .zip(&timings)
        .map(|((images, peak, compute_fraction), own)| {
            let scaled = unit(&images);
            Ok(Evaluation {
                quality: quality(&full, &scaled)?,
                converged: converged.as_ref().map(|converged| quality(converged, &scaled)).transpose()?,
                images,
                timings: own.clone(),
                speedup: own.speedup_over(&timings[0]),
                cpu_speedup: by_processor.then(|| own.cpu_speedup_over(&timings[0])),
                peak_bytes_per_image: peak / wanted.batch,
                compute_fraction,
            })
        })
        .collect()
}

fn stack(batches: &[Array4<f32>]) -> Result<Array4<f32>> {
    Ok(concatenate(Axis(0), &batches.iter().map(|batch| batch.view()).collect::<Vec<_>>())?)
}

/// PSNR and SSIM; SSIM is NaN for images smaller than its window.
fn quality(reference: &Array4<f32>, images: &Array4<f32>) -> Result<Quality> {
    let (rows, columns) = (reference.len_of(Axis(2)), reference.len_of(Axis(3)));
    if rows.min(columns) >= SSIM_WINDOW {
        return Ok(Quality::between(reference.view(), images.view())?);
    }
    let psnr = psnr_each(reference.view(), images.view())?;
    Ok(Quality::of(&psnr, &vec![f64::NAN; psnr.len()])?)
}

/// Values of `-1 ..= 1` scaled to `0 ..= 1` and clamped.
fn unit(x: &Array4<f32>) -> Array4<f32> {
    x.mapv(|value| f32::midpoint(value, 1.0).clamp(0.0, 1.0))
}
