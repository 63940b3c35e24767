//! Plans of least error: the error that each possible skip makes, measured once, and the plans that follow from it.

mod planner;
mod skip_errors;

pub use planner::{Criterion, FrontPoint, PlannerOptions, front};
pub use skip_errors::SkipErrors;
