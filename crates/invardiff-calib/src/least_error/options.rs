//! Goals and options of plans of least error.

use invardiff_plan::core::Storage;
use invardiff_plan::{Provenance, Schedule, TimeAxis};

use super::strategy::SkipStrategy;
use crate::error::CalibError;

/// What a plan is asked to reach, at the least error.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Goal {
    /// This many times fewer FLOPs than the full run.
    Speedup(f64),
    /// At most this share of the full run's FLOPs, from 0 to 1; or as near to it as a plan gets.
    ComputeFraction(f64),
    /// This many computed steps.
    ComputedSteps(usize),
    /// At most this many milliseconds for one sample of the session's first run, by steps that are timed on its device.
    Latency(f64),
    /// The fewest computed steps whose samples keep this mean PSNR to the full run, in dB, on the session's runs.
    Psnr(f64),
}

/// The most bytes that may be kept for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheBudget {
    /// The most bytes.
    pub bytes: usize,
    /// Bytes of one element of the model's features.
    pub element_size: usize,
    /// In which precision features are kept.
    pub storage: Storage,
}

impl CacheBudget {
    /// What [`CalibError::Goal`] calls a budget that no plan keeps.
    pub const NAME: &'static str = "the cache budget";

    /// At most so many bytes for a model whose features have `element_size` bytes per element, kept as computed.
    pub fn new(bytes: usize, element_size: usize) -> Self {
        Self { bytes, element_size, storage: Storage::AsComputed }
    }

    /// The same with this [`CacheBudget::storage`].
    #[must_use]
    pub fn with_storage(self, storage: Storage) -> Self {
        Self { storage, ..self }
    }
}

/// What a plan of least error may use, and how much is measured for it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LeastErrorOptions {
    /// How skipped steps may get their values; replays choose where there are several. The first one settles how many steps
    /// are computed.
    pub strategies: Vec<SkipStrategy>,
    /// The axis of extrapolation.
    pub axis: TimeAxis,
    /// The farthest anchor, in steps: plans skip at most so many steps in a row.
    pub window: usize,
    /// Steps at the start that are computed; two at least.
    pub warm_up: usize,
    /// The most runs that skips are priced and replayed on.
    pub runs: usize,
    /// Whether modules inside of computed steps are planned too, by many replays.
    pub plan_modules: bool,
    /// Whether some points of the front are replayed, for a chart of error over compute.
    pub check_front: bool,
    /// The share of all steps, from 0 to 1, that a guarded run may compute besides the plan's; `None` makes no guard.
    pub guard: Option<f64>,
    /// The most bytes that the plan may keep for one image.
    pub cache_budget: Option<CacheBudget>,
    /// Where the plan comes from; method and thresholds are set by the planner.
    pub provenance: Provenance,
}

impl Default for LeastErrorOptions {
    /// All of [`SkipStrategy::ALL`] on the axis of step numbers, anchors up to 8 steps away, 8 runs; nothing beside the plan.
    fn default() -> Self {
        Self {
            strategies: SkipStrategy::ALL.to_vec(),
            axis: TimeAxis::Step,
            window: 8,
            warm_up: 2,
            runs: 8,
            plan_modules: false,
            check_front: false,
            guard: None,
            cache_budget: None,
            provenance: Provenance::default(),
        }
    }
}

impl LeastErrorOptions {
    /// There is a strategy, and the guard is a share.
    pub(super) fn check(&self) -> Result<(), CalibError> {
        if self.strategies.is_empty() {
            let (value, expected) = ("empty".into(), "one at least".into());
            return Err(CalibError::Goal { goal: "the list of skip strategies", value, expected });
        }
        match self.guard {
            Some(share) if !(0.0..=1.0).contains(&share) => Err(CalibError::Goal {
                goal: "the share of steps that a guarded run may add",
                value: share.to_string(),
                expected: "0 to 1".into(),
            }),
            _ => Ok(()),
        }
    }

    /// The schedule keeps no more than the budget.
    pub(super) fn check_budget(&self, schedule: &Schedule) -> Result<(), CalibError> {
        let Some(budget) = self.cache_budget else { return Ok(()) };
        let kept = schedule.clone().storing(budget.storage).peak_bytes(1, budget.element_size);
        if kept <= budget.bytes {
            return Ok(());
        }
        Err(CalibError::Goal {
            goal: CacheBudget::NAME,
            value: format!("{} bytes", budget.bytes),
            expected: format!("at least {kept}, which the least-error plan keeps for one image"),
        })
    }
}
