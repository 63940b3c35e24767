//! What a calibration refuses.

/// Why a calibration cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibError {
    /// The settings do not fit the model, or the measured tables do not fit the settings.
    #[error(transparent)]
    Plan(#[from] invardiff_plan::PlanError),
    /// The sampler cannot be calibrated.
    #[error(transparent)]
    Runtime(#[from] invardiff_runtime::RuntimeError),
    /// Nothing to measure.
    #[error("calibration needs at least one run; give --runs 1 or more")]
    NoRuns,
    /// A training whose loss or gradient is no number.
    #[error("iteration {iteration}: the loss or its gradient is no finite number; lower the learning rate")]
    Diverged {
        /// The iteration, from 0.
        iteration: usize,
    },
    /// A model whose forward does not pass the sites of its own topology.
    #[error("the forward of {model} does not do what its topology says: {detail}")]
    Sites {
        /// The model's name.
        model: String,
        /// The first difference.
        detail: String,
    },
}
