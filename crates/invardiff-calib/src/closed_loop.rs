//! The closed loop: the error of a plan, measured by replaying it on the calibration's runs.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use invardiff_plan::{CachePlan, Schedule};
use invardiff_runtime::{Full, Policy, Replay, Sampler, ScaleShift, sample};

use crate::error::CalibError;
use crate::run::Run;
use crate::session::{Session, SharedDenoiser};

/// A session with the uncached final sample of every run, to hold replays against.
pub struct ClosedLoop<'a, const D: usize, M: SharedDenoiser<D>, S> {
    session: Session<'a, D, M, S>,
    finals: Vec<Tensor<D>>,
}

impl<'a, const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'a, D, M, S> {
    /// Samples every run in full.
    pub fn closed_loop(self) -> ClosedLoop<'a, D, M, S> {
        let finals = self.each_run("sampling in full (runs)", |run| finish(&self, &mut Full, run));
        ClosedLoop { session: self, finals }
    }
}

impl<'a, const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> ClosedLoop<'a, D, M, S> {
    /// The session whose runs are replayed.
    pub fn session(&self) -> &Session<'a, D, M, S> {
        &self.session
    }

    /// The same on the first `count` runs; the uncached samples are kept.
    pub fn first(&self, count: usize) -> Self {
        let session = self.session.first(count);
        Self { finals: self.finals[..session.runs.len()].to_vec(), session }
    }

    /// The uncached final sample of every run.
    pub fn finals(&self) -> &[Tensor<D>] {
        &self.finals
    }

    /// Replays a schedule: the mean square error of the final sample, per run.
    pub fn errors(&self, schedule: &Arc<Schedule>) -> Vec<f64> {
        self.errors_by(&|| Replay::new(schedule.clone()))
    }

    /// [`ClosedLoop::errors`] with reused values that go through a scale and a shift per channel.
    pub fn adjusted_errors(&self, schedule: &Arc<Schedule>, adjustment: &Arc<ScaleShift>) -> Vec<f64> {
        self.errors_by(&|| Replay::with_adjustment(schedule.clone(), adjustment.clone()))
    }

    /// The mean square error of the final sample under any policy, per run.
    pub fn errors_by<P: Policy>(&self, policy: &(dyn Fn() -> P + Sync)) -> Vec<f64> {
        let runs: Vec<_> = self.session.runs.iter().collect();
        let replayed = self.session.concurrency.each(runs, |run| finish(&self.session, &mut policy(), run));
        let error = |(replayed, full): (Tensor<D>, &Tensor<D>)| {
            let square = (replayed - full.clone()).square().mean().cast(DType::F32);
            f64::from(square.into_scalar::<f32>())
        };
        replayed.into_iter().zip(&self.finals).map(error).collect()
    }

    /// Replays a plan: the mean over runs of the final samples' mean square error.
    ///
    /// # Errors
    /// [`CalibError::Plan`] when the plan does not fit the model.
    pub fn mean_error(&self, plan: &CachePlan) -> Result<f64, CalibError> {
        let errors = self.errors(&Arc::new(plan.schedule(&self.session.model.topology())?));
        Ok(errors.iter().sum::<f64>() / errors.len() as f64)
    }

    /// Replays a plan: the mean over runs of the final samples' PSNR, in dB relative to the session's span.
    ///
    /// # Errors
    /// [`CalibError::Plan`] when the plan does not fit the model.
    pub fn mean_psnr(&self, plan: &CachePlan) -> Result<f64, CalibError> {
        let errors = self.errors(&Arc::new(plan.schedule(&self.session.model.topology())?));
        Ok(errors.iter().map(|error| self.decibels(*error)).sum::<f64>() / errors.len() as f64)
    }

    /// The PSNR of a mean square error, in dB relative to the session's span; at most that of an error of 1e-10.
    pub fn decibels(&self, error: f64) -> f64 {
        let span = self.session.span;
        10.0 * (span * span / error.max(1e-10)).log10()
    }
}

fn finish<const D: usize, M, S, P>(
    session: &Session<'_, D, M, S>,
    policy: &mut P,
    run: &Run<D, M::Cond>,
) -> Tensor<D>
where
    M: SharedDenoiser<D>,
    S: Sampler<D>,
    P: Policy,
{
    sample(session.model, session.sampler, policy, run.noise.clone(), &run.cond)
}
