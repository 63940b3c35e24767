//! Times and weights calibrated in closed form: inner products along target trajectories, the best times for every number of
//! evaluations, and small least-squares systems.

mod front;
mod gram;
mod least_squares;
mod open_fit;

pub use front::{Pricing, TimeChoice, time_front};
pub use gram::{ConditionGram, GramAtlas};
pub use least_squares::ridge_weights;
pub use open_fit::{OpenFit, solver_rows};
