//! The images to draw, and drawing them.

use std::process::ExitCode;
use std::time::Instant;

use crate::progress::bar;
use crate::stdout::say;
use anyhow::{Context, Result, ensure};
use image::RgbImage;
use invardiff::{Pipeline, files};
use invardiff_eval::{GridLayout, image_grid, rgb_images};
use invardiff_plan::{CachePlan, Cost};
use invardiff_runtime::{Denoiser, Sampler};
use ndarray::{Array4, ArrayD, Axis, IxDyn};
use serde_json::json;

use super::Args;
use super::output::{self, Asked, Facts, Format};
use crate::commands::plan::{bytes, two_decimals};

/// The most images of one command.
const MOST: usize = 100_000;

/// Makes the pipeline of one batch with noise of this seed, if the run adds noise: `(pipeline, eta, seed)`.
pub(super) type Stochastic<P> = fn(&P, f64, u64) -> Result<Option<P>>;

/// The subjects of the grid's columns.
pub(super) struct Columns<S> {
    pub(super) subjects: Vec<S>,
    /// Texts above the columns, or none.
    pub(super) names: Vec<String>,
    /// The flags that set the number of images, for errors.
    pub(super) flag: &'static str,
}

/// A job: the images to draw.
pub(super) struct GenerateJob<const D: usize, P: Pipeline<D>> {
    pipeline: P,
    /// The plan, and how the run that it was made for differs.
    plan: Option<(CachePlan, Vec<String>)>,
    names: Vec<String>,
    /// Images in a row.
    width: usize,
    subjects: Vec<P::Subject>,
    seeds: Vec<u64>,
    asked: Asked,
    batch: usize,
    stochastic: Stochastic<P>,
}

/// The drawn images.
struct Drawn {
    /// The final samples, one per row.
    samples: ArrayD<f32>,
    /// The same decoded to images, where images are written.
    images: Option<Array4<f32>>,
    /// Peak bytes of a batch's cache.
    peak: usize,
    seconds: f64,
}

impl<const D: usize, P: Pipeline<D>> GenerateJob<D, P> {
    pub(super) fn new(
        args: &Args,
        mut pipeline: P,
        plan: Option<CachePlan>,
        columns: Columns<P::Subject>,
        asked: Asked,
        batch: usize,
        stochastic: Stochastic<P>,
    ) -> Result<Self> {
        let count = columns.subjects.len() * args.images_per_class as usize;
        ensure!(count <= MOST, "{} ask for {count} images, more than {MOST}", columns.flag);
        ensure!(
            args.seed.checked_add(MOST as u64).is_some(),
            "--seed {} is too large: image n takes seed + n",
            args.seed
        );
        let plan = plan
            .map(|plan| Ok::<_, anyhow::Error>((enable::<D, P>(args, &mut pipeline, &plan)?, plan)))
            .transpose()?;
        Ok(Self {
            pipeline,
            plan: plan.map(|(forced, plan)| (plan, forced)),
            names: columns.names,
            width: columns.subjects.len(),
            subjects: columns.subjects.into_iter().cycle().take(count).collect(),
            seeds: (args.seed..).take(count).collect(),
            asked,
            batch,
            stochastic,
        })
    }

    /// Draws everything and writes it.
    pub(super) fn draw(&self, args: &Args, format: Format) -> Result<ExitCode> {
        format.suits(self.pipeline.shows_images(), &args.out)?;
        let drawn = self.sample(args, format)?;
        let facts = self.facts(args)?;
        let bytes = match (format, &drawn.images) {
            (Format::Png, Some(images)) => output::png(&self.grid(images)?, &facts)?,
            (Format::Png | Format::Safetensors, _) => output::samples(&drawn.samples, &self.seeds, &facts)?,
        };
        files::write(&args.out, &bytes).context("--out")?;
        self.report(args, &facts, &drawn)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Samples everything, batch by batch.
    fn sample(&self, args: &Args, format: Format) -> Result<Drawn> {
        let start = Instant::now();
        let batches = self.subjects.chunks(self.batch).zip(self.seeds.chunks(self.batch));
        let progress = bar(batches.len() * self.pipeline.sampler().steps(), "sampling (steps)");
        let (mut samples, mut images, mut peak) = (Vec::<ArrayD<f32>>::new(), Vec::<Array4<f32>>::new(), 0);
        for (subjects, seeds) in batches {
            let own = (self.stochastic)(&self.pipeline, args.eta, seeds[0])?;
            let pipeline = own.as_ref().unwrap_or(&self.pipeline);
            let (batch, bytes) = pipeline.generate_with(subjects, seeds, &mut || progress.inc(1))?;
            peak = peak.max(bytes);
            match format {
                Format::Png => images.push(pipeline.images(batch)?),
                Format::Safetensors => samples.push(host(batch)?),
            }
        }
        progress.finish_and_clear();
        let images: Vec<_> = images.iter().map(|batch| batch.view()).collect();
        let samples: Vec<_> = samples.iter().map(|batch| batch.view()).collect();
        Ok(Drawn {
            images: (!images.is_empty()).then(|| ndarray::concatenate(Axis(0), &images)).transpose()?,
            samples: if samples.is_empty() {
                ArrayD::zeros(IxDyn(&[0]))
            } else {
                ndarray::concatenate(Axis(0), &samples)?
            },
            peak,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// A grid with one column per subject and its name above; many subjects make a near-square grid instead. A single image
    /// without a name is returned as it is.
    fn grid(&self, images: &Array4<f32>) -> Result<RgbImage> {
        let mut images = rgb_images(images.view())?;
        if images.len() == 1 && self.names.is_empty() {
            return Ok(images.remove(0));
        }
        let layout = if self.width > 16 {
            GridLayout::default()
        } else {
            let column_labels = self.names.clone();
            GridLayout { columns: Some(self.width), column_labels, ..GridLayout::default() }
        };
        Ok(image_grid(&images, &layout)?)
    }

    fn facts(&self, args: &Args) -> Result<Facts> {
        let pipeline = &self.pipeline;
        let (plan, plan_forced) = match &self.plan {
            Some((plan, forced)) => (plan.fingerprint()?, forced.clone()),
            None => ("none".to_owned(), Vec::new()),
        };
        Ok(Facts {
            model: pipeline.name().to_owned(),
            weights_sha256: pipeline.weights_sha256().to_owned(),
            asked: self.asked.clone(),
            seed: args.seed,
            sampler: pipeline.sampler().name(),
            num_inference_steps: pipeline.sampler().steps(),
            eta: args.eta,
            guidance_scale: pipeline.guidance_scale().and_then(output::shortest),
            dtype: self.pipeline.dtype().name(),
            batch_size: self.batch,
            plan,
            plan_forced,
            tool: format!("invardiff {}", env!("CARGO_PKG_VERSION")),
        })
    }

    fn report(&self, args: &Args, facts: &Facts, drawn: &Drawn) -> Result<()> {
        let topology = self.pipeline.denoiser().topology();
        let plan = self.plan.as_ref().map(|(plan, _)| plan);
        let speedup = plan.map(|plan| Cost::of(plan, &topology)).transpose()?.map(|cost| cost.speedup());
        let skipped = plan.map(CachePlan::skipped_steps);
        if args.json {
            let mut object = serde_json::to_value(facts)?;
            object["file"] = json!(args.out.display().to_string());
            object["images"] = json!(self.subjects.len());
            object["seconds"] = json!(drawn.seconds);
            object["plan_file"] = json!(args.plan.as_ref().map(|path| path.display().to_string()));
            object["skipped_steps"] = json!(skipped);
            object["predicted_speedup"] = json!(speedup.map(two_decimals));
            object["peak_cache_bytes"] = json!(drawn.peak);
            say(format_args!("{object:#}"))?;
            return Ok(());
        }
        let guidance =
            facts.guidance_scale.map_or("no guidance".to_owned(), |scale| format!("guidance {scale}"));
        say(format_args!(
            "{}: {} images of {} in {:.2} s ({}, {} steps, {guidance})",
            args.out.display(),
            self.subjects.len(),
            facts.model,
            drawn.seconds,
            facts.sampler,
            facts.num_inference_steps,
        ))?;
        if let (Some(skipped), Some(speedup)) = (skipped, speedup) {
            say(format_args!(
                "plan {}: {skipped} of {} steps skipped, predicted speed-up {speedup:.2}x, cache at most {} a batch",
                &facts.plan[..12],
                facts.num_inference_steps,
                bytes(drawn.peak),
            ))?;
        }
        for forced in &facts.plan_forced {
            say(format_args!("note: forced although {forced}"))?;
        }
        Ok(())
    }
}

/// Enables the plan in the pipeline; returns how the run that it was made for differs.
fn enable<const D: usize, P: Pipeline<D>>(
    args: &Args,
    pipeline: &mut P,
    plan: &CachePlan,
) -> Result<Vec<String>> {
    let name = || format!("--plan {}", args.plan.as_deref().unwrap_or(&args.out).display());
    pipeline.sampler().deterministic().with_context(name)?;
    let found = if args.force {
        pipeline.force_cache(plan).with_context(name)?
    } else {
        let unless = || format!("{} (--force replays it all the same)", name());
        plan.check(&pipeline.execution()).with_context(unless)?;
        pipeline.enable_cache(plan).with_context(name)?;
        Vec::new()
    };
    if let (Some(dtype), Some(schedule)) = (args.cache_dtype, pipeline.schedule()) {
        let stored = (**schedule).clone().storing(dtype.storage());
        pipeline.set_schedule(Some(stored.into()));
    }
    Ok(found.iter().map(ToString::to_string).collect())
}

/// A tensor on the host.
fn host<const D: usize>(x: burn::tensor::Tensor<D>) -> Result<ArrayD<f32>> {
    let shape = x.dims();
    let values: Vec<f32> =
        x.into_data().convert::<f32>().try_to_vec().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(ArrayD::from_shape_vec(IxDyn(&shape), values)?)
}
