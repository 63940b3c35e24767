//! Opens a pipeline of either kind for a command.

use std::process::ExitCode;

use anyhow::Result;
use burn::tensor::Device;
use invardiff::Pipeline;
use invardiff_plan::CachePlan;

use super::resolve::{ModelSource, ResolvedModel, RunRequest};
use super::room::Use;
use crate::args::DeviceArg;

/// The work of a command, on a pipeline of either kind.
pub trait Work {
    /// Does the work on a pipeline without a plan; `plan` is the requested one, adapted to its model.
    ///
    /// # Errors
    /// The command's own.
    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, plan: Option<CachePlan>) -> Result<ExitCode>;
}

impl RunRequest<'_> {
    /// Finds the model, opens its pipeline and does the work on it.
    ///
    /// # Errors
    /// When the model or the device cannot be opened, a flag does not fit them, or the work fails.
    pub fn work(&self, device: &DeviceArg, work: impl Work) -> Result<ExitCode> {
        let (choice, device) = (self.resolve()?, device.open()?);
        choice.work(self, &device, work)
    }
}

impl ResolvedModel {
    /// Opens the model's pipeline, with memory for a calibration, and does the work on it.
    ///
    /// # Errors
    /// When the model cannot be opened, a flag does not fit it, or the work fails.
    pub fn work(&self, request: &RunRequest<'_>, device: &Device, work: impl Work) -> Result<ExitCode> {
        match self.model {
            ModelSource::Embedded(_) | ModelSource::Dit(_) => {
                let (full, plan) = self.classes(request, Use::Calibrate, device)?;
                work.on(&full, plan)
            }
            ModelSource::Flux(_) => {
                let prompts = request.prompts.prompts(&[])?;
                let (full, plan) = self.prompts(request, &prompts, Use::Calibrate, device)?;
                work.on(&full, plan)
            }
        }
    }
}
