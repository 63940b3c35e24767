//! Sites and topologies, caching plans, their schedules, costs and provenance.

mod budget;
mod cost;
mod diff;
mod error;
mod fitted;
mod plan;
mod provenance;
mod rule;
mod schedule;
mod site;
mod split_mix64;
mod topology;
mod transfer;

pub use budget::{Fitted, fit_to_budget};
pub use cost::Cost;
pub use diff::{KindDiff, PlanDiff, diff};
pub use error::PlanError;
pub use fitted::{FitRecord, SiteWeights, Target, TimeGrid, TimePoint, WeightRow};
pub use plan::CachePlan;
pub use provenance::{Calibration, Mismatch, Provenance, RunSpec, Threshold};
pub use rule::{GateSite, OutputForm, ReuseRule, TimeAxis};
pub use schedule::{Action, Recipe, Schedule, Slot, Source, Storage};
pub use site::{InvalidKind, Kind, Site};
pub use split_mix64::SplitMix64;
pub use topology::{SiteSpec, StreamSpec, Topology};
pub use transfer::{Confidence, Transferred};
