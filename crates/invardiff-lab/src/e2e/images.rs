//! Compares the same images on both devices, and checks the device alone.

use invardiff::{Caching, ClassToImage, ModelFacts, Sampling, to_array};
use invardiff_eval::psnr_each;
use invardiff_plan::CachePlan;
use invardiff_plan::methods::baseline::uniform_gate;
use invardiff_runtime::Denoiser;
use ndarray::Array4;

use super::calibration::Plans;
use super::check::{Checks, DeviceCheck};
use super::pair::Pair;
use crate::error::{Context, Result, unfit};
use crate::held_out::HELD_OUT;

/// The smallest allowed PSNR of an image to the CPU's, in dB.
const DECIBELS: f64 = 50.0;

/// Draws the images of a comparison.
pub(super) struct Draw<'a> {
    pair: &'a Pair<'a>,
    labels: Vec<usize>,
    seeds: Vec<u64>,
}

impl<'a> Draw<'a> {
    /// Images from other seeds than the calibration's.
    pub(super) fn new(pair: &'a Pair<'a>) -> Self {
        let count = pair.amounts.images;
        let first = pair.amounts.seed.wrapping_add(HELD_OUT);
        let seeds = (0..count as u64).map(|index| first.wrapping_add(index)).collect();
        Self { pair, labels: pair.classes(count), seeds }
    }

    /// Compares images without a plan and under the plans of both devices, then makes the checks on the device alone.
    ///
    /// # Errors
    /// When a check cannot be shown.
    pub(super) fn compare(&self, plans: &Plans, checks: &mut Checks<'_>) -> Result<()> {
        let (processor, device) = (&self.pair.processor, &self.pair.device);
        checks.run("images, everything computed", || self.apart(None))?;
        checks.run("images under the processor's plan", || self.apart(Some(&plans.processor)))?;
        checks.run("images under the device's plan", || self.apart(Some(&plans.device)))?;
        checks.run("two runs are equal", || {
            let [one, other] = [self.images(device, None)?, self.images(device, None)?];
            Ok(DeviceCheck::equal(largest(&one, &other), 0.0, "largest difference"))
        })?;
        checks.run("an empty plan changes nothing", || {
            let empty = CachePlan::empty(&processor.denoiser().topology(), self.pair.steps());
            let [full, cached] = [self.images(device, None)?, self.images(device, Some(&empty))?];
            Ok(DeviceCheck::equal(largest(&full, &cached), 0.0, "largest difference"))
        })?;
        checks.run("peak cache bytes as scheduled", || {
            let schedule = plans.processor.schedule(&device.denoiser().topology())?;
            let expected = schedule.peak_bytes(self.labels.len(), device.dtype().size());
            let (_, found) = self.under(device, Some(&plans.processor))?;
            Ok(DeviceCheck::equal(found as f64, expected as f64, "bytes"))
        })?;
        checks.run("two plans at once, each as alone", || self.at_once(&plans.processor))
    }

    /// PSNR of the device's images to the CPU's; a plan is written to a file and read back first.
    fn apart(&self, plan: Option<&CachePlan>) -> Result<DeviceCheck> {
        let plan = plan.map(through_file).transpose()?;
        let [expected, found] =
            [&self.pair.processor, &self.pair.device].map(|on| self.images(on, plan.as_ref()));
        let [low, high] = self.pair.processor.model().config().pixel_range.unwrap_or([-1.0, 1.0]);
        let unit = |x: Array4<f32>| x.mapv(|value| ((value - low) / (high - low)).clamp(0.0, 1.0));
        let (expected, found) = (expected?, found?);
        let finite = found.iter().all(|value| value.is_finite());
        let decibels = psnr_each(unit(expected).view(), unit(found).view())?;
        let worst = decibels.into_iter().fold(f64::INFINITY, f64::min);
        Ok(DeviceCheck::at_least(if finite { worst } else { f64::NAN }, DECIBELS, "dB"))
    }

    /// Two plans on two threads must draw what each draws alone.
    fn at_once(&self, plan: &CachePlan) -> Result<DeviceCheck> {
        let steps = self.pair.steps();
        let device = &self.pair.device;
        let gate = uniform_gate(steps, steps.div_ceil(2))?;
        let other = CachePlan::gate_only(&device.denoiser().topology(), gate);
        let alone = [self.images(device, Some(plan))?, self.images(device, Some(&other))?];
        let together = std::thread::scope(|scope| {
            let threads = [plan, &other].map(|plan| scope.spawn(|| self.images(device, Some(plan))));
            threads.map(|thread| thread.join().map_err(|_| unfit!("a thread panicked")).flatten())
        });
        let mut apart = 0.0_f64;
        for (alone, together) in alone.iter().zip(together) {
            apart = apart.max(largest(alone, &together?));
        }
        Ok(DeviceCheck::equal(apart, 0.0, "largest difference"))
    }

    fn images(&self, on: &ClassToImage, plan: Option<&CachePlan>) -> Result<Array4<f32>> {
        Ok(self.under(on, plan)?.0)
    }

    /// The images, and the peak bytes of the cache.
    fn under(&self, on: &ClassToImage, plan: Option<&CachePlan>) -> Result<(Array4<f32>, usize)> {
        let mut pipeline = on.clone();
        match plan {
            // A plan with a recorded run is checked against it; the made-up ones here have none.
            Some(plan) if plan.provenance.execution.is_some() => pipeline.enable_cache(plan)?,
            Some(plan) => drop(pipeline.force_cache(plan)?),
            None => {}
        }
        let (images, bytes) = pipeline.generate_measured(&self.labels, &self.seeds)?;
        Ok((to_array(images)?, bytes))
    }
}

/// The plan after writing and reading it, as on another machine.
fn through_file(plan: &CachePlan) -> Result<CachePlan> {
    let folder = tempfile::tempdir().context("a folder for the plan")?;
    let path = folder.path().join("plan.json");
    plan.write(&path)?;
    Ok(CachePlan::read(&path)?)
}

/// The largest absolute difference; infinite where one value is NaN.
fn largest(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    let apart = |(a, b): (&f32, &f32)| {
        let apart = f64::from((a - b).abs());
        if apart.is_nan() { f64::INFINITY } else { apart }
    };
    a.iter().zip(b).map(apart).fold(0.0, f64::max)
}
