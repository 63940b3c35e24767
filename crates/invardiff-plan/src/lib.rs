//! Feature-caching plans for diffusion transformers, as plain data.
//!
//! This crate knows nothing of tensors. The names that everybody meets stand at the root; the others in modules by
//! subject:
//!
//! | module | holds |
//! |---|---|
//! | [`core`](mod@core) | sites and topologies, [`CachePlan`], its lowering into a [`Schedule`] with exact liveness and peak bytes, [`Cost`], [`Provenance`] |
//! | [`two_phase`] | distances and change rates of a calibration, quantile thresholds, and the plan that two phases make of them |
//! | [`least_error`] | the error that each possible skip makes, measured once, and the plans of least error |
//! | [`fitted`](mod@fitted) | inner products along target trajectories, and the best times that follow from them |
//! | [`methods`] | other published methods: their rules, what they measure, and their plans |
//! | [`formats`] | files: versioned JSON, bincode, the cache books of the InvarDiff authors, schedules and masks of other tools |
//! | [`encoding`] | the encodings of small text files |
//! | [`files`] | files that are written whole or not at all, and read up to a limit |
//! | [`shapes`] | shapes of published models and the FLOPs of their modules |
//! | [`lint`] | what is odd about a plan |
//!
//! Arrows run one way: `core` uses no other module, `formats` and `shapes` use `core` alone, the others use these.
//!
//! Conventions used everywhere:
//! - steps are in *sampling order*: step 0 is the noisiest;
//! - `true` in a gate or a matrix means **reuse** (the authors' convention);
//! - sizes are per image unless a name says otherwise; bytes are bytes, FLOPs are 2 x multiply-accumulate.

pub mod core;
pub mod encoding;
pub mod files;
pub mod fitted;
pub mod formats;
pub mod least_error;
pub mod lint;
pub mod methods;
pub mod shapes;
pub mod two_phase;

pub use self::core::{
    CachePlan, Cost, GateSite, Kind, OutputForm, PlanError, Provenance, ReuseRule, RunSpec, Schedule, Site,
    SiteSpec, StreamSpec, TimeAxis, Topology,
};
