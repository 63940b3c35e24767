//! Calibration: how features change along a trajectory, and what plan follows.
//!
//! Everything here is generic over [`Denoiser`](invardiff_runtime::Denoiser) and knows no model. [`calibrate`] is the
//! two-phase calibration of the paper (arXiv 2512.05134) in one pass of the model; [`measure_atlas`] measures what every
//! possible skip would cost, for the planner of least error ([`invardiff_plan::front`]).

mod atlas;
mod calibrate;
mod closed_loop;
mod error;
mod readings;
mod record;
mod run;
mod similarity;
mod streams;
mod substitute;

pub use atlas::{AtlasOptions, measure_atlas};
pub use calibrate::{Outcome, RecordOptions, calibrate, record};
pub use closed_loop::ClosedLoop;
pub use error::CalibError;
pub use record::{Pairs, Record, RecordStep};
pub use run::Run;
pub use similarity::Similarity;
pub use streams::Streams;
pub use substitute::Substitute;
