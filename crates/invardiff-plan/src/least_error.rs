//! Plans of least error: what each possible skip would cost, measured once, and the plans that follow from it.

mod atlas;
mod planner;

pub use atlas::ErrorAtlas;
pub use planner::{Criterion, FrontPoint, PlannerOptions, front};
