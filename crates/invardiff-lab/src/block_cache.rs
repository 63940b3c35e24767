//! Block Caching: scales and shifts trained for the reuses of a plan, and compared with the plan without them
//! (arXiv 2312.03209).

mod evaluate;
#[cfg(feature = "autodiff")]
mod options;
#[cfg(feature = "autodiff")]
mod present;
#[cfg(feature = "autodiff")]
mod state;
#[cfg(feature = "autodiff")]
mod training;

pub use evaluate::evaluate;
#[cfg(feature = "autodiff")]
pub use options::ScaleShiftOptions;
#[cfg(feature = "autodiff")]
pub use training::{TrainedVectors, train};
