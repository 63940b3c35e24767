//! The error of this crate.

/// Why a sampler, a policy or a run was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// An error of a plan.
    #[error(transparent)]
    Plan(#[from] invardiff_plan::PlanError),
    /// A sampler that draws noise at every step.
    #[error(
        "{sampler} draws fresh noise at every step ({detail}): features of consecutive steps are then not comparable, so it can be neither calibrated nor replayed; use a deterministic sampler (ddim with eta 0, dpm-solver++, flow-match euler)"
    )]
    Stochastic {
        /// The sampler's name.
        sampler: String,
        /// What makes it stochastic, e.g. `eta = 0.5`.
        detail: String,
    },
    /// A setting out of its range.
    #[error("{what} is {value}, expected {expected}")]
    Range {
        /// The setting's name.
        what: &'static str,
        /// The value found.
        value: String,
        /// The allowed range in words.
        expected: &'static str,
    },
    /// The plan and the sampler have different numbers of steps.
    #[error("the plan has {plan} steps, the sampler {sampler}; make the plan for this number of steps")]
    Steps {
        /// Steps of the plan.
        plan: usize,
        /// Steps of the sampler.
        sampler: usize,
    },
    /// A scale-shift adjustment that does not fit the schedule or the model.
    #[error(
        "the adjustment of {site} at step {step}: {detail}; adjustments belong to the plan that they were trained for"
    )]
    Adjustment {
        /// The step that it is for.
        step: usize,
        /// The module that it is for.
        site: invardiff_plan::Site,
        /// What does not fit.
        detail: String,
    },
}
