//! The samplers, the noise schedules they run over, and the noise they start from.

mod ddim;
mod dpm;
mod flow;
pub(crate) mod marginal;
mod noise;
mod noise_schedule;
mod spacing;

pub use ddim::{Ddim, DdimHistory};
pub use dpm::{DpmHistory, DpmSolverPlusPlus};
pub use flow::{FlowMatchEuler, Shift};
pub use marginal::{Marginal, ProbabilityPath};
pub use noise::GaussianNoise;
pub use noise_schedule::{BetaSchedule, NoiseSchedule};
pub use spacing::Spacing;
