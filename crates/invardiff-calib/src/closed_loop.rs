//! The closed loop: what a plan really does to the calibration pictures.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use invardiff_plan::Schedule;
use invardiff_runtime::{Denoiser, Full, Policy, Replay, Sampler, ScaleShift, sample};

use crate::run::each;
use crate::{CalibError, Run};

/// Uncached final samples of some runs, to hold replays against.
#[derive(Clone, Debug)]
pub struct ClosedLoop<const D: usize> {
    finals: Vec<Tensor<D>>,
    parallel: bool,
}

impl<const D: usize> ClosedLoop<D> {
    /// Samples every run in full. With `parallel`, runs share the threads (for devices that are processors).
    ///
    /// # Errors
    /// [`CalibError::NoRuns`]; [`CalibError::Runtime`] for a stochastic sampler.
    pub fn new<M, S>(
        model: &M,
        sampler: &S,
        runs: &[Run<D, M::Cond>],
        parallel: bool,
    ) -> Result<Self, CalibError>
    where
        M: Denoiser<D> + Sync,
        M::Cond: Sync,
        S: Sampler<D> + Sync,
    {
        Run::check(runs, sampler)?;
        let finals = each(runs.iter().collect(), parallel, |run| finish(model, sampler, &mut Full, run));
        Ok(Self { finals, parallel })
    }

    /// Replays a schedule on the same runs: the mean square error of each final sample.
    ///
    /// # Panics
    /// When there are not as many runs as were sampled in full.
    pub fn errors<M, S>(
        &self,
        model: &M,
        sampler: &S,
        runs: &[Run<D, M::Cond>],
        schedule: &Arc<Schedule>,
    ) -> Vec<f64>
    where
        M: Denoiser<D> + Sync,
        M::Cond: Sync,
        S: Sampler<D> + Sync,
    {
        self.errors_by(model, sampler, runs, &|| Replay::new(schedule.clone()))
    }

    /// [`ClosedLoop::errors`] with adjusted reuse.
    ///
    /// # Panics
    /// As [`ClosedLoop::errors`].
    pub fn adjusted_errors<M, S>(
        &self,
        model: &M,
        sampler: &S,
        runs: &[Run<D, M::Cond>],
        schedule: &Arc<Schedule>,
        adjustment: &Arc<ScaleShift>,
    ) -> Vec<f64>
    where
        M: Denoiser<D> + Sync,
        M::Cond: Sync,
        S: Sampler<D> + Sync,
    {
        let policy = || Replay::with_adjustment(schedule.clone(), adjustment.clone());
        self.errors_by(model, sampler, runs, &policy)
    }

    /// The mean square error of each final sample under any policy, one a run.
    ///
    /// # Panics
    /// As [`ClosedLoop::errors`].
    pub fn errors_by<M, S, P>(
        &self,
        model: &M,
        sampler: &S,
        runs: &[Run<D, M::Cond>],
        policy: &(dyn Fn() -> P + Sync),
    ) -> Vec<f64>
    where
        M: Denoiser<D> + Sync,
        M::Cond: Sync,
        S: Sampler<D> + Sync,
        P: Policy,
    {
        assert_eq!(
            runs.len(),
            self.finals.len(),
            "the runs that were sampled in full are the ones to replay"
        );
        let replay = |run| finish(model, sampler, &mut policy(), run);
        let replayed = each(runs.iter().collect(), self.parallel, replay);
        let error = |(replayed, full): (Tensor<D>, &Tensor<D>)| {
            let square = (replayed - full.clone()).square().mean().cast(DType::F32);
            f64::from(square.into_scalar::<f32>())
        };
        replayed.into_iter().zip(&self.finals).map(error).collect()
    }
}

fn finish<const D: usize, M, S, P>(model: &M, sampler: &S, policy: &mut P, run: &Run<D, M::Cond>) -> Tensor<D>
where
    M: Denoiser<D>,
    S: Sampler<D>,
    P: Policy,
{
    sample(model, sampler, policy, run.noise.clone(), &run.cond)
}
