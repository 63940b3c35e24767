//! Sampling under a plan.

use std::sync::Arc;

use burn::tensor::Tensor;
use invardiff_plan::core::Mismatch;
use invardiff_plan::{CachePlan, PlanError, Schedule};
use invardiff_runtime::{Denoiser, Full, Replay, Sampler};

use super::sampling::Sampling;
use crate::error::{Error, Result};
use crate::grid_check;

/// Sampling under a plan, or without one: [`Caching::enable_cache`] changes what is replayed and nothing else.
pub trait Caching<const D: usize>: Sampling<D> {
    /// The schedule that is replayed.
    fn schedule(&self) -> Option<&Arc<Schedule>>;

    /// Replays `schedule` from now on, or computes everything.
    fn set_schedule(&mut self, schedule: Option<Arc<Schedule>>);

    /// Lowers a plan for this pipeline.
    ///
    /// # Errors
    /// When the plan cannot run here at all: other sites, another number of steps, times of its own that are not this model's, a
    /// sampler that draws noise.
    fn lower(&self, plan: &CachePlan) -> Result<Arc<Schedule>> {
        self.sampler().deterministic()?;
        let (planned, steps) = (plan.full_steps(), self.sampler().steps());
        if planned != steps {
            return Err(Error::Request(format!(
                "the plan is for {planned} steps, the sampler has {steps}: a plan cannot be stretched as it is; calibrate for this \
                 number of steps, or transfer it (`transfer`, `invardiff plan transfer`)"
            )));
        }
        if let Some(grid) = plan.grid() {
            grid_check::check(grid, self.sampler())?;
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

    /// [`Caching::generate`], with the most bytes that the cache held.
    ///
    /// # Errors
    /// As [`Caching::generate`].
    fn generate_measured(&self, subjects: &[Self::Subject], seeds: &[u64]) -> Result<(Tensor<D>, usize)> {
        self.generate_with(subjects, seeds, &mut || {})
    }

    /// [`Caching::generate_measured`], calling `progress` after every step.
    ///
    /// # Errors
    /// As [`Caching::generate`].
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
}
