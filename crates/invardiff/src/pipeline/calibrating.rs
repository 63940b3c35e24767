//! What a calibration asks of a model.

use invardiff_calib::{Concurrency, RecordOptions, Run, Session};
use invardiff_plan::core::Calibration;
use invardiff_plan::two_phase::Variant;

use super::sampling::Sampling;
use crate::error::Result;

/// What a calibration asks: the runs to measure on, and how they are measured.
pub trait Calibrating<const D: usize>: Sampling<D> + Sized {
    /// The same model without guidance, uncached; `None` where guidance cannot be taken away.
    fn unguided(&self) -> Option<Self>;

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

    /// `count` calibration runs of one image each: subjects in turn, with the seeds of [`Calibrating::calibration_seeds`].
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

    /// Where what is measured on [`Calibrating::calibration_runs`] comes from.
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
}
