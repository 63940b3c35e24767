//! Feature-caching plans for diffusion transformers, as plain data.
//!
//! This crate knows nothing of tensors. It holds what a calibration measures ([`DistanceTable`], [`RateTable`]),
//! the rule that turns measurements into a plan ([`quantile`], [`two_phase`]), the plan itself ([`CachePlan`]), its lowering into
//! something that can run ([`Schedule`], with exact liveness and peak bytes), a cost model ([`Cost`]) and the file
//! formats (versioned JSON, bincode, the books of the InvarDiff authors).
//!
//! Conventions used everywhere:
//! - steps are in *sampling order*: step 0 is the noisiest;
//! - `true` in a gate or a matrix means **reuse** (the authors' convention);
//! - sizes are per picture unless a name says otherwise; bytes are bytes, FLOPs are 2 x multiply-accumulate.

mod atlas;
mod baseline;
mod block_caching;
mod books;
mod budget;
mod cost;
mod diff;
mod distance;
mod draws;
mod dynamic;
mod error;
mod fit;
mod fora;
mod format;
mod lint;
mod paired;
mod plan;
mod planner;
mod provenance;
mod quantile;
mod rates;
mod routers;
mod rule;
mod schedule;
mod shapes;
mod site;
mod smooth_cache;
mod statistic;
mod step_mask;
mod taylor_seer;
mod topology;
mod transfer;
mod two_phase;

pub use atlas::ErrorAtlas;
pub use baseline::{random_plan, uniform_gate};
pub use block_caching::ChangeTable;
pub use books::{AuthorBook, BookLayout, BookName, BookVersion};
pub use budget::{Fitted, fit_to_budget};
pub use cost::Cost;
pub use diff::{KindDiff, PlanDiff, diff};
pub use distance::{DistanceTable, StepPair};
pub use draws::Draws;
pub use dynamic::{Decider, FirstBlocks, MagCache, Probe, SkipRule, TeaCache};
pub use error::PlanError;
pub use fit::{ComponentErrors, Fit, Interpolation, Magnitudes, Measurement, Polynomial, TeaCacheFit};
pub use fora::fora;
pub use format::{FILE_LIMIT, PlanFile};
pub use lint::{Finding, Severity, lint, lint_book};
pub use paired::{PairedStep, pairs_of, random_pairs, uniform_pairs};
pub use plan::CachePlan;
pub use planner::{Criterion, FrontPoint, PlannerOptions, front};
pub use provenance::{Calibration, Execution, Mismatch, Provenance, Threshold};
pub use quantile::quantile;
pub use rates::RateTable;
pub use routers::Routers;
pub use rule::{GateSite, OutputForm, ReuseRule, TimeAxis};
pub use schedule::{Action, Recipe, Schedule, Slot, Source, Storage};
pub use shapes::{DitShape, DitSize, FluxShape, SingleFeature};
pub use site::{Kind, Site};
pub use smooth_cache::SmoothCache;
pub use statistic::{EPSILON, Precision, change_rate, distance};
pub use step_mask::StepMask;
pub use taylor_seer::TaylorSeer;
pub use topology::{SiteSpec, StreamSpec, Topology};
pub use transfer::{Confidence, Transferred};
pub use two_phase::{Books, Phase, Phases, Settings, TwoPhase, Variant, WarmUp, missing_pairs, two_phase};
