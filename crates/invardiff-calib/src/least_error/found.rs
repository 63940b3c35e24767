//! What replays found of a plan.

use invardiff_plan::CachePlan;

use crate::error::CalibError;

/// A planned gate in a real replay on the calibration's runs. PSNR is the mean over runs, in dB to the full run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replayed {
    /// The PSNR that the atlas predicts, errors of skips added up.
    pub predicted: f64,
    /// The PSNR of the replay.
    pub found: f64,
    /// The result of moving computed steps; `None` where the replay was no more than [`Replayed::MARGIN`] worse than predicted.
    pub refined: Option<Refinement>,
}

impl Replayed {
    /// A replay that is this many dB worse than predicted makes the gate refined.
    pub const MARGIN: f64 = 3.0;
}

/// The result of moving computed steps by replays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refinement {
    /// Computed steps that were moved.
    pub swaps: usize,
    /// Runs that the search replayed.
    pub runs: usize,
    /// The mean PSNR of the refined gate on all runs, in dB. It is used where this is more than [`Replayed::found`].
    pub psnr: f64,
}

/// A point of the front as a real replay found it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckedPoint {
    /// How many steps are computed.
    pub computed: usize,
    /// Computed steps relative to all.
    pub compute_fraction: f64,
    /// The mean PSNR of the replay on the calibration's runs, in dB to the full run.
    pub psnr: f64,
    /// The PSNR that the atlas predicts, errors of skips added up.
    pub predicted: f64,
}

/// A plan with more computed steps at the same compute, in which modules are reused by measured error.
#[derive(Clone, Debug, PartialEq)]
pub struct WithModules {
    /// The plan.
    pub plan: CachePlan,
    /// Its computed steps.
    pub computed: usize,
    /// Its mean PSNR on the calibration's runs, in dB.
    pub psnr: f64,
    /// The mean PSNR of the plan without module reuse, in dB.
    pub without: f64,
}

/// The error of a run in which no step can be skipped.
pub(super) fn nothing_to_skip() -> CalibError {
    CalibError::Goal {
        goal: "the number of steps",
        value: "too small".into(),
        expected: "at least four, so that one can be skipped".into(),
    }
}
