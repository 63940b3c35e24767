//! Plans of least error: the error that each possible skip makes, measured once, and the plans that follow from it.

mod options;
mod planner;
mod skip_errors;

pub use options::{Criterion, PlannerOptions};
pub use planner::{FrontPoint, front};
pub use skip_errors::SkipErrors;
