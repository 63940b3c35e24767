//! Measures the cost of a calibration: calibration runs and plain ones in turns.

use invardiff::OpenDevice;
use invardiff_calib::{Concurrency, RecordOptions, Run, Session, SharedDenoiser};
use invardiff_eval::alternate;
use invardiff_plan::two_phase::Settings;
use invardiff_runtime::{Denoiser, Full, Sampler, sample};

use super::trial::{Trial, Trials, counted};
use crate::error::Result;

/// A model with one run to calibrate on.
pub struct CalibrationSubject<'a, const D: usize, M: Denoiser<D>, S> {
    /// The network, with its guidance.
    pub model: &'a M,
    /// The sampler.
    pub sampler: &'a S,
    /// Noise and condition of the run.
    pub run: Run<D, M::Cond>,
    /// The settings of the published rule.
    pub settings: &'a Settings,
    /// Whether to measure the values that the model passes to `probe`.
    pub probe: bool,
    /// The device that computes.
    pub device: &'a OpenDevice,
}

/// Times of plain trajectories and of calibrations.
#[derive(Clone, Debug)]
pub struct CalibrationTimes {
    /// A plain trajectory.
    pub plain: Trials,
    /// A calibration: the recorded trajectory, both phases, and the plan.
    pub calibration: Trials,
    /// The same with the similarity of consecutive steps, which the report draws.
    pub with_similarity: Trials,
    /// How often the model ran along the trajectory in one calibration.
    pub passes: usize,
}

impl<const D: usize, M, S> CalibrationSubject<'_, D, M, S>
where
    M: SharedDenoiser<D>,
    S: Sampler<D> + Sync,
{
    /// Times `rounds` runs of each kind in turns after `warm_up` rounds.
    ///
    /// # Errors
    /// When the settings do not fit, or the device fails.
    pub fn measure(&self, rounds: usize, warm_up: usize, progress: &dyn Fn()) -> Result<CalibrationTimes> {
        let [mut plain, mut calibration, mut with_similarity] = [const { Vec::new() }; 3];
        let mut passes = 0;
        let mut run_plain = || -> Result<()> {
            plain.push(Trial::of(self.device, || {
                sample(self.model, self.sampler, &mut Full, self.run.noise.clone(), &self.run.cond);
                Ok(())
            })?);
            progress();
            Ok(())
        };
        let mut run_calibration = || -> Result<()> {
            calibration.push(Trial::of(self.device, || self.calibrate(false).map(|found| passes = found))?);
            progress();
            Ok(())
        };
        let mut run_with_similarity = || -> Result<()> {
            with_similarity.push(Trial::of(self.device, || self.calibrate(true).map(drop))?);
            progress();
            Ok(())
        };
        alternate(rounds, warm_up, &mut [&mut run_plain, &mut run_calibration, &mut run_with_similarity])?;
        let after_warm_up = |trials| counted(warm_up, trials);
        Ok(CalibrationTimes {
            plain: after_warm_up(plain)?,
            calibration: after_warm_up(calibration)?,
            with_similarity: after_warm_up(with_similarity)?,
            passes,
        })
    }

    /// Calibrates on one run; returns how often the model ran along the trajectory.
    fn calibrate(&self, similarity: bool) -> Result<usize> {
        let options = RecordOptions { similarity, probe: self.probe, ..RecordOptions::default() };
        let session = Session::new(self.model, self.sampler, std::slice::from_ref(&self.run))?;
        let session = session.with_concurrency(Concurrency::Sequential);
        Ok(session.two_phase(self.settings, &options)?.passes)
    }
}
