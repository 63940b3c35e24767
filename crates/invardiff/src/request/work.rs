//! Opens a pipeline of either kind for work that takes any.

use burn::tensor::Device;
use invardiff_plan::CachePlan;
use invardiff_runtime::Progress;

use super::resolve::ResolvedModel;
use super::room::Use;
use super::run::RunRequest;
use crate::error::Result;
use crate::pipeline::Pipeline;

/// Work on a pipeline, whichever kind of model was asked for.
pub trait PipelineWork {
    /// What the work returns.
    type Output;

    /// Does the work on a pipeline without a plan; `plan` is the requested one, adapted to its model.
    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, plan: Option<CachePlan>) -> Self::Output;
}

impl ResolvedModel {
    /// Opens the model's pipeline, with memory for a calibration, and does the work on it.
    ///
    /// # Errors
    /// When the model cannot be opened, or a setting does not fit it.
    pub fn work<W: PipelineWork>(
        &self,
        request: &RunRequest,
        device: &Device,
        progress: &dyn Progress,
        work: W,
    ) -> Result<W::Output> {
        if self.model.draws_prompts() {
            let prompts = request.prompts.texts(&[])?;
            let (full, plan) = self.prompts(request, &prompts, Use::Calibrate, device, progress)?;
            Ok(work.on(&full, plan))
        } else {
            let (full, plan) = self.classes(request, Use::Calibrate, device, progress)?;
            Ok(work.on(&full, plan))
        }
    }
}
