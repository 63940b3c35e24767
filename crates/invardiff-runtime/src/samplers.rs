//! Samplers, noise schedules, noise levels, and seeded noise.

mod ddim;
mod dpm;
mod first_order;
mod flow;
pub(crate) mod marginal;
mod noise;
mod noise_schedule;
mod spacing;
mod unipc;
mod unipc_rows;

pub use ddim::{Ddim, DdimHistory};
pub use dpm::{DpmHistory, DpmSolverPlusPlus};
pub use first_order::FirstOrder;
pub use flow::{FlowMatchEuler, Shift};
pub use marginal::{Marginal, ProbabilityPath};
pub use noise::GaussianNoise;
pub use noise_schedule::{BetaSchedule, NoiseSchedule};
pub use spacing::Spacing;
pub use unipc::{UniPc, UniPcHistory};
