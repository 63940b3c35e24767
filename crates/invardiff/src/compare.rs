//! Contenders for the same pictures, judged by what they cost and what they change.

use anyhow::{Context, Result, ensure};
use invardiff_eval::{Quality, Timings, alternate, psnr_each};
use invardiff_plan::{CachePlan, Cost};
use invardiff_runtime::{Denoiser, Sampler};
use ndarray::{Array4, Axis, concatenate};

use crate::{Pipeline, SamplerKind};

/// One way to draw the pictures: a plan over the full run's sampler, or another sampler.
#[derive(Clone, Debug)]
pub struct Contender<P> {
    /// A short name.
    pub name: String,
    /// What it does, in a sentence.
    pub description: String,
    /// The pipeline, with its plan enabled.
    pub pipeline: P,
    /// FLOPs relative to the full run.
    pub compute_fraction: f64,
}

impl<P> Contender<P> {
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
            compute_fraction: 1.0,
        }
    }

    /// A plan on top of the full run's sampler.
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
        Ok(Self { name: name.into(), description: description.into(), pipeline, compute_fraction })
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
        let pipeline = full.resampled(sampler, steps)?;
        let name = pipeline.sampler().name();
        Ok(Self {
            name: format!("{name} {steps}"),
            description: format!("no plan: {steps} steps of {name} instead of {of}"),
            pipeline,
            compute_fraction: steps as f64 / of as f64,
        })
    }
}

/// What became of a contender.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its pictures, `[pictures, channels, height, width]`, in `-1 ..= 1`.
    pub pictures: Array4<f32>,
    /// How near they are to the full run's; SSIM is NaN for pictures of fewer than 11 rows or columns.
    pub quality: Quality,
    /// How near they are to the converged pictures, where these were drawn.
    pub converged: Option<Quality>,
    /// Seconds of each batch.
    pub timings: Timings,
    /// The median over batches of (seconds of the full run / seconds of this one), in the same round.
    pub speedup: f64,
    /// The most bytes that the cache of a batch held, divided by its pictures.
    pub peak_bytes_per_picture: usize,
}

/// The pictures to draw: one subject and one seed each, a batch at a time.
#[derive(Clone, Copy, Debug)]
pub struct Pictures<'a, S> {
    /// What each picture shows.
    pub subjects: &'a [S],
    /// The seed of each picture's noise.
    pub seeds: &'a [u64],
    /// Pictures drawn at once; the number of pictures is a multiple of it.
    pub batch: usize,
}

impl<S> Pictures<'_, S> {
    fn batches(&self) -> Result<Vec<(&[S], &[u64])>> {
        ensure!(
            self.batch > 0
                && self.subjects.len().is_multiple_of(self.batch)
                && self.subjects.len() == self.seeds.len(),
            "{} pictures and {} seeds in batches of {}",
            self.subjects.len(),
            self.seeds.len(),
            self.batch
        );
        Ok(self.subjects.chunks(self.batch).zip(self.seeds.chunks(self.batch)).collect())
    }
}

/// Rows and columns of SSIM's window (11 x 11, sigma 1.5).
const SSIM_WINDOW: usize = 11;

/// Draws `wanted` by one pipeline: `[pictures, channels, height, width]` in `-1 ..= 1`. `progress` is called after every
/// batch.
///
/// # Errors
/// When the pipeline cannot draw them; when the number of pictures is no multiple of the batch.
pub fn draw<const D: usize, P: Pipeline<D>>(
    pipeline: &P,
    wanted: &Pictures<'_, P::Subject>,
    progress: &dyn Fn(),
) -> Result<Array4<f32>> {
    let batches = wanted.batches()?.into_iter().map(|(subjects, seeds)| {
        let pictures = pipeline.pictures(pipeline.generate(subjects, seeds)?)?;
        progress();
        Ok(pictures)
    });
    stack(&batches.collect::<Result<Vec<_>>>()?)
}

/// Draws `wanted` by every contender, batch by batch in turns in one process, and compares with the first, which is the
/// full run, and with `converged` where it is given. PSNR and SSIM are of pictures clamped to their range and scaled to
/// `0 ..= 1`, not rounded to bytes. Decoding latents is not timed.
///
/// # Errors
/// When a contender cannot run; when the number of pictures is no multiple of the batch.
pub fn compare<const D: usize, P: Pipeline<D>>(
    contenders: &[Contender<P>],
    wanted: &Pictures<'_, P::Subject>,
    converged: Option<&Array4<f32>>,
    progress: &dyn Fn(),
) -> Result<Vec<Judged>> {
    let batches = wanted.batches()?;
    let mut drawn: Vec<(Vec<_>, usize)> = contenders.iter().map(|_| (Vec::new(), 0)).collect();
    let mut runs: Vec<_> = contenders
        .iter()
        .zip(&mut drawn)
        .map(|(contender, (samples, peak))| {
            let mut left = batches.iter();
            move || -> Result<()> {
                let (subjects, seeds) = left.next().context("one batch a round")?;
                let (batch, bytes) = contender.pipeline.generate_measured(subjects, seeds)?;
                contender.pipeline.device().sync()?;
                samples.push(batch);
                *peak = (*peak).max(bytes);
                progress();
                Ok(())
            }
        })
        .collect();
    let mut subjects: Vec<_> =
        runs.iter_mut().map(|run| run as invardiff_eval::Run<'_, anyhow::Error>).collect();
    let timings = alternate(batches.len(), 0, &mut subjects)?;
    let mut pictures = Vec::with_capacity(contenders.len());
    for (contender, (samples, peak)) in contenders.iter().zip(drawn) {
        let batches = samples.into_iter().map(|batch| contender.pipeline.pictures(batch));
        pictures.push((stack(&batches.collect::<Result<Vec<_>>>()?)?, peak));
    }
    let full = pictures.first().map(|(full, _)| unit(full)).context("no contender")?;
    let converged = converged.map(unit);
    pictures
        .into_iter()
        .zip(&timings)
        .map(|((pictures, peak), own)| {
            let scaled = unit(&pictures);
            Ok(Judged {
                quality: quality(&full, &scaled)?,
                converged: converged.as_ref().map(|converged| quality(converged, &scaled)).transpose()?,
                pictures,
                timings: own.clone(),
                speedup: own.speedup_over(&timings[0]),
                peak_bytes_per_picture: peak / wanted.batch,
            })
        })
        .collect()
}

fn stack(batches: &[Array4<f32>]) -> Result<Array4<f32>> {
    Ok(concatenate(Axis(0), &batches.iter().map(|batch| batch.view()).collect::<Vec<_>>())?)
}

/// PSNR and SSIM; pictures smaller than SSIM's window have no SSIM.
fn quality(reference: &Array4<f32>, pictures: &Array4<f32>) -> Result<Quality> {
    let (rows, columns) = (reference.len_of(Axis(2)), reference.len_of(Axis(3)));
    if rows.min(columns) >= SSIM_WINDOW {
        return Ok(Quality::between(reference.view(), pictures.view())?);
    }
    let psnr = psnr_each(reference.view(), pictures.view())?;
    Ok(Quality::of(&psnr, &vec![f64::NAN; psnr.len()])?)
}

/// Values of `-1 ..= 1` scaled to `0 ..= 1` and clamped.
fn unit(x: &Array4<f32>) -> Array4<f32> {
    x.mapv(|value| f32::midpoint(value, 1.0).clamp(0.0, 1.0))
}
