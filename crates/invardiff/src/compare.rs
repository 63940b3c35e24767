//! Contenders for the same pictures, judged by what they cost and what they change.

use anyhow::{Context, Result, ensure};
use burn::tensor::Tensor;
use invardiff_eval::{Quality, Timings, alternate, psnr_each};
use invardiff_plan::{CachePlan, Cost};
use invardiff_runtime::{Denoiser, Sampler};
use ndarray::{Array4, Axis, concatenate};

use crate::{ClassToImage, SamplerKind};

/// One way to draw the pictures: a plan over the full run's sampler, or another sampler.
#[derive(Clone, Debug)]
pub struct Contender {
    /// A short name.
    pub name: String,
    /// What it does, in a sentence.
    pub description: String,
    /// The pipeline, with its plan enabled.
    pub pipeline: ClassToImage,
    /// FLOPs relative to the full run.
    pub compute_fraction: f64,
}

impl Contender {
    /// The full run.
    pub fn full(full: &ClassToImage) -> Self {
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
    pub fn plan(full: &ClassToImage, name: &str, description: &str, plan: &CachePlan) -> Result<Self> {
        let mut pipeline = full.clone();
        pipeline.force_cache(plan)?;
        let compute_fraction = Cost::of(plan, &full.denoiser().topology())?.compute_fraction();
        Ok(Self { name: name.into(), description: description.into(), pipeline, compute_fraction })
    }

    /// Fewer steps of a sampler, as near to `compute_fraction` of the full run as whole steps allow.
    ///
    /// # Errors
    /// When the sampler cannot have so few steps.
    pub fn fewer_steps(full: &ClassToImage, sampler: SamplerKind, compute_fraction: f64) -> Result<Self> {
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
    /// Its pictures, `[pictures, channels, height, width]`, in the model's range.
    pub pictures: Array4<f32>,
    /// How near they are to the full run's; SSIM is NaN for pictures of fewer than 11 rows or columns.
    pub quality: Quality,
    /// Seconds of each batch.
    pub timings: Timings,
    /// The median over batches of (seconds of the full run / seconds of this one), in the same round.
    pub speedup: f64,
    /// The most bytes that the cache of a batch held, divided by its pictures.
    pub peak_bytes_per_picture: usize,
}

/// Rows and columns of SSIM's window (11 x 11, sigma 1.5).
const SSIM_WINDOW: usize = 11;

/// Draws `labels` from `seeds` by every contender, batch by batch in turns in one process, and compares with the first,
/// which is the full run. PSNR and SSIM are of pictures clamped to their range and scaled to `0 ..= 1`, not rounded to bytes.
///
/// # Errors
/// When a contender cannot run; when the number of pictures is no multiple of `batch`.
pub fn compare(
    contenders: &[Contender],
    labels: &[usize],
    seeds: &[u64],
    batch: usize,
    progress: &dyn Fn(),
) -> Result<Vec<Judged>> {
    ensure!(
        batch > 0 && labels.len().is_multiple_of(batch),
        "{} pictures are no multiple of {batch}",
        labels.len()
    );
    let batches: Vec<(&[usize], &[u64])> = labels.chunks(batch).zip(seeds.chunks(batch)).collect();
    let mut drawn: Vec<(Vec<Array4<f32>>, usize)> = vec![(Vec::new(), 0); contenders.len()];
    let mut runs: Vec<_> = contenders
        .iter()
        .zip(&mut drawn)
        .map(|(contender, (pictures, peak))| {
            let mut left = batches.iter();
            move || -> Result<()> {
                let (labels, seeds) = left.next().context("one batch a round")?;
                let (batch, bytes) = contender.pipeline.generate_measured(labels, seeds)?;
                pictures.push(to_array(batch)?);
                *peak = (*peak).max(bytes);
                progress();
                Ok(())
            }
        })
        .collect();
    let mut subjects: Vec<_> =
        runs.iter_mut().map(|run| run as invardiff_eval::Run<'_, anyhow::Error>).collect();
    let timings = alternate(batches.len(), 0, &mut subjects)?;
    let pictures: Vec<(Array4<f32>, usize)> =
        drawn.into_iter().map(|(batches, peak)| Ok((stack(&batches)?, peak))).collect::<Result<_>>()?;
    let range =
        contenders.first().and_then(|full| full.pipeline.model().config().pixel_range).unwrap_or([-1.0, 1.0]);
    let reference = unit(&pictures[0].0, range);
    pictures
        .into_iter()
        .zip(&timings)
        .map(|((pictures, peak), own)| {
            let scaled = unit(&pictures, range);
            Ok(Judged {
                quality: quality(&reference, &scaled)?,
                pictures,
                timings: own.clone(),
                speedup: own.speedup_over(&timings[0]),
                peak_bytes_per_picture: peak / batch,
            })
        })
        .collect()
}

/// A tensor on the host.
///
/// # Errors
/// When the device fails.
pub fn to_array(x: Tensor<4>) -> Result<Array4<f32>> {
    let shape = x.dims();
    let values: Vec<f32> =
        x.into_data().convert::<f32>().try_to_vec().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(Array4::from_shape_vec(shape, values)?)
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

/// Values of `range` scaled to `0 ..= 1` and clamped.
fn unit(x: &Array4<f32>, [low, high]: [f32; 2]) -> Array4<f32> {
    x.mapv(|value| ((value - low) / (high - low)).clamp(0.0, 1.0))
}
