//! The seam of InvarDiff: one model forward, many executors.
//!
//! A model names each cacheable value once, where it computes it, and hands the computation to an [`Executor`] as a
//! closure. Full computation ([`Full`]), replay of a plan ([`Replay`]), calibration, timing ([`Observed`]) are executors;
//! there is no second forward, no hook and no state in a module.
//!
//! ```text
//! let [attn] = exec.at(Site::msa(layer), |_| [self.attn.forward(x.clone())]);
//! ```

mod block;
mod denoiser;
mod error;
mod executor;
mod feature;
mod flop_counter;
mod full;
mod guarded;
mod guidance;
mod observe;
mod policies;
mod progress;
mod replay;
mod sample;
mod sampler;
mod samplers;
mod scale_shift;
mod store;

pub use block::{Block, BlockAction};
pub use denoiser::Denoiser;
pub use error::RuntimeError;
pub use executor::{Executor, Pass, Policy};
pub use feature::Feature;
pub use flop_counter::FlopCounter;
pub use full::Full;
pub use guarded::{Guard, Guarded, GuardedStep};
pub use guidance::{BatchedGuidance, TwoPassCond, TwoPassGuidance};
pub use observe::{Event, Observed, ObservedStep};
pub use policies::{BlockSkip, BlockSkipStep, Decision, relative_change};
pub use progress::{Phase, Progress};
pub use replay::{Replay, ReplayStep};
pub use sample::{sample, sample_with};
pub use sampler::Sampler;
pub use samplers::{
    BetaSchedule, Ddim, DdimHistory, DpmHistory, DpmSolverPlusPlus, FlowMatchEuler, GaussianNoise, Marginal,
    NoiseSchedule, ProbabilityPath, Shift, Spacing,
};
pub use scale_shift::{Affine, ScaleShift};
pub use store::FeatureStore;

pub use invardiff_plan::methods::block_skip::SkipRule;
pub use invardiff_plan::{Kind, OutputForm, Site, SiteSpec, StreamSpec, Topology};
