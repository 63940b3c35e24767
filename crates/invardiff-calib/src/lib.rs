//! Calibration: how features change along a trajectory, and what plan follows.
//!
//! Everything here is generic over [`Denoiser`](invardiff_runtime::Denoiser) and knows no model. It starts from a
//! [`Session`]: a model, a sampler, and the runs to measure on.
//!
//! - [`Session::two_phase`] is the calibration of the paper (arXiv 2512.05134). Its second phase compares other pairs of the
//!   same uncached features, so one pass of the model serves both: a [`Record`] notes the distances of every step to those of
//!   a window before it, and only what lies beyond is measured in a second pass.
//! - [`Session::least_error`] makes the plan of least error for a [`Goal`]: it measures what every possible skip costs, plans
//!   exactly ([`invardiff_plan::least_error::front`]), and replays what it planned. [`Session::price_skips`] keeps the measurement for many
//!   goals.
//! - [`Session::closed_loop`] holds any plan or policy against the uncached samples.
//! - [`Mix`] is Learning-to-Cache's blend of fresh and kept values, [`Session::block_changes`] what Block Caching plans from.
//!   With the feature `autodiff`, `RouterTraining` trains routers through that blend, and `ScaleShiftTraining` the vectors that
//!   adjust reused values; both leave the model's weights as they are.

#[cfg(feature = "autodiff")]
mod adam_w;
mod atlas;
mod block_caching;
mod block_skip;
mod calibrate;
mod closed_loop;
mod error;
mod fitted;
mod least_error;
mod mix;
mod modules;
mod readings;
mod record;
#[cfg(feature = "autodiff")]
mod router;
mod run;
#[cfg(feature = "autodiff")]
mod scale_shift;
mod session;
mod similarity;
mod smoothcache;
mod streams;
mod substitute;

#[cfg(feature = "autodiff")]
pub use adam_w::{AdamW, Moments};
pub use atlas::AtlasOptions;
pub use block_skip::Changes;
pub use calibrate::{Outcome, RecordOptions};
pub use closed_loop::ClosedLoop;
pub use error::CalibError;
pub use fitted::{
    ClosedFit, FitOptions, Fitted, FittedOptions, Multistep, Polish, TargetRecord, Tried, Weighting,
};
pub use least_error::{
    CacheBudget, CheckedPoint, Goal, LeastError, LeastErrorOptions, Refinement, Replayed, SkipPrices,
    SkipStrategy, WithModules,
};
pub use mix::{Mix, MixStep};
pub use modules::ModuleSearch;
pub use record::{Pairs, Record, RecordStep};
#[cfg(feature = "autodiff")]
pub use router::{Example, Pair, RouterLoss, RouterSettings, RouterState, RouterTraining};
pub use run::Run;
#[cfg(feature = "autodiff")]
pub use scale_shift::{ScaleShiftLoss, ScaleShiftState, ScaleShiftTraining};
pub use session::{Concurrency, Session, SharedDenoiser};
pub use similarity::Similarity;
pub use streams::Streams;
pub use substitute::Substitute;
