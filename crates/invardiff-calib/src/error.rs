//! The error of this crate.

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
    /// There are no runs to measure on.
    #[error("calibration needs at least one run")]
    NoRuns,
    /// No plan of this model and sampler reaches the goal.
    #[error("{goal} is {value}, expected {expected}")]
    Goal {
        /// The field of [`Goal`](crate::Goal) or [`LeastErrorOptions`](crate::LeastErrorOptions), in words.
        goal: &'static str,
        /// What was asked for.
        value: String,
        /// What can be had here.
        expected: String,
    },
    /// A training whose loss or gradient is NaN or infinite.
    #[error("iteration {iteration}: the loss or its gradient is NaN or infinite; lower the learning rate")]
    Diverged {
        /// The iteration, from 0.
        iteration: usize,
    },
    /// A model whose forward does not pass the sites of its own topology.
    #[error("the forward of {model} does not pass the sites of its topology: {detail}")]
    Sites {
        /// The model's name.
        model: String,
        /// The first difference.
        detail: String,
    },
}
