//! The two-phase calibration of InvarDiff: from the distances of calibration runs to a plan.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use invardiff_plan::two_phase::{DistanceTable, Phases, Settings, Variant, WarmUp, two_phase};
//! use invardiff_plan::{Kind, Topology};
//!
//! // One calibration run: here every change is half of the one before it; a recorder measures them on a model.
//! let topology = Topology::named("dit-s-8-256")?;
//! let steps = 8;
//! let mut run = DistanceTable::for_topology(&topology, steps, steps - 1)?;
//! for stream in 0..run.streams().len() {
//!     for (from, to) in (0..steps).flat_map(|from| (from + 1..steps).map(move |to| (from, to))) {
//!         run.record(stream, from, to, (from..to).map(|step| 0.5_f32.powi(step as i32)).sum())?;
//!     }
//! }
//! let settings = Settings {
//!     variant: Variant::Dit,
//!     gate_quantile: 0.5,
//!     quantiles: BTreeMap::from([(Kind::MSA, 0.2), (Kind::MLP, 0.2)]),
//!     warm_up: WarmUp::Steps(1),
//!     phases: Phases::Two,
//! };
//! let plan = two_phase(&[run], &settings)?.plan(&topology)?;
//! assert_eq!(plan.steps(), steps);
//! assert_eq!(plan.provenance.method, "invardiff-dit");
//! # Ok::<(), invardiff_plan::PlanError>(())
//! ```

mod distance;
mod masks;
mod quantile;
mod rates;
mod settings;
mod statistic;
mod streams;
mod variant;

pub use distance::{DistanceTable, StepPair};
pub use masks::ReuseMasks;
pub use quantile::quantile;
pub use rates::RateTable;
pub use settings::{Phases, Settings, WarmUp};
pub use statistic::{EPSILON, Precision, change_rate, distance};
pub use variant::Variant;

use crate::core::{CachePlan, PlanError, Provenance, Threshold, Topology};

/// The result of a two-phase calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct TwoPhase {
    /// The first phase.
    pub first: Phase,
    /// The masks between the phases, under which the second phase is measured.
    pub provisional: ReuseMasks,
    /// The second phase; `None` for [`Phases::One`]. Where the variant does not correct the gate, the trunk's rates and
    /// threshold are those of the first phase.
    pub second: Option<Phase>,
    /// The final masks.
    pub masks: ReuseMasks,
    /// The number of steps at the start that are always computed.
    pub warm_up: usize,
    /// The variant of the method that was followed.
    pub variant: Variant,
}

/// Mean change rates and the thresholds taken from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// The change rates, averaged over runs.
    pub rates: RateTable,
    /// The threshold of the gate, then of each stream.
    pub thresholds: Vec<Threshold>,
}

impl TwoPhase {
    /// The phase that made the final masks: the second, or the first where there is no other.
    pub fn decisive(&self) -> &Phase {
        self.second.as_ref().unwrap_or(&self.first)
    }

    /// The plan for a model. Its provenance has the method, the thresholds and the warm-up; the run, the conditions and the
    /// program are left to the caller.
    ///
    /// # Errors
    /// As [`ReuseMasks::plan`].
    pub fn plan(&self, topology: &Topology) -> Result<CachePlan, PlanError> {
        Ok(self.masks.plan(topology)?.with_provenance(Provenance {
            method: self.variant.method().into(),
            thresholds: self.decisive().thresholds.clone(),
            warm_up: Some(self.warm_up),
            ..Provenance::default()
        }))
    }
}

/// Runs both phases on the distances of calibration runs. First phase: mean rates, their thresholds, provisional masks.
/// Second phase: rates corrected under these masks, their thresholds, final masks.
///
/// This is the two-phase calibration with re-sampling correction of the paper (arXiv 2512.05134), in the form of one of the
/// authors' published scripts ([`Variant`]). No model runs: both phases read the distances of the same trajectories.
///
/// # Errors
/// [`PlanError::MissingPair`] names the first distance that was not recorded; [`missing_pairs`] lists all of them.
/// [`PlanError::Range`] without runs, for a quantile or warm-up out of range, or for a NaN rate where the variant does not
/// leave NaN out; [`PlanError::MissingKind`] when streams and quantiles do not match; [`PlanError::Sites`] or
/// [`PlanError::Shape`] when the runs differ in their streams or steps.
pub fn two_phase(runs: &[DistanceTable], settings: &Settings) -> Result<TwoPhase, PlanError> {
    check_alike(runs)?;
    let first = phase(runs, settings, RateTable::phase1)?;
    let provisional = settings.provisional_masks(&first.rates, &first.thresholds)?;
    let second = match settings.phases {
        Phases::One => None,
        Phases::Two => {
            let reference = reference(&provisional, settings.variant);
            Some(phase(runs, settings, |run| RateTable::phase2(run, &reference))?)
        }
    };
    let decisive = second.as_ref().unwrap_or(&first);
    let masks = settings.final_masks(&decisive.rates, &decisive.thresholds)?;
    let warm_up = settings.warm_up.rows(first.rates.steps())?;
    Ok(TwoPhase { first, provisional, second, masks, warm_up, variant: settings.variant })
}

/// The distances that [`two_phase`] needs and at least one run lacks, sorted; empty when nothing is missing.
///
/// Streams are numbered as in [`DistanceTable::streams`], alike in all runs. As long as distances between neighbouring steps
/// are missing, only those are listed, because the distances of the second phase depend on the provisional masks.
///
/// # Errors
/// As [`two_phase`], except for [`PlanError::MissingPair`].
pub fn missing_pairs(runs: &[DistanceTable], settings: &Settings) -> Result<Vec<StepPair>, PlanError> {
    let table = check_alike(runs)?;
    let near = missing(runs, &RateTable::pairs(table, &ReuseMasks::empty(table))?);
    match settings.phases {
        Phases::One => return Ok(near),
        Phases::Two if !near.is_empty() => return Ok(near),
        Phases::Two => {}
    }
    let first = phase(runs, settings, RateTable::phase1)?;
    let provisional = settings.provisional_masks(&first.rates, &first.thresholds)?;
    Ok(missing(runs, &RateTable::pairs(table, &reference(&provisional, settings.variant))?))
}

/// The masks that the second phase is measured under.
fn reference(provisional: &ReuseMasks, variant: Variant) -> ReuseMasks {
    if variant.corrects_gate() { provisional.clone() } else { provisional.clone().without_gate() }
}

fn phase(
    runs: &[DistanceTable],
    settings: &Settings,
    rates: impl Fn(&DistanceTable) -> Result<RateTable, PlanError>,
) -> Result<Phase, PlanError> {
    let each = runs.iter().map(rates).collect::<Result<Vec<_>, _>>()?;
    let rates = RateTable::mean(&each)?;
    let thresholds = settings.thresholds(&rates)?;
    Ok(Phase { rates, thresholds })
}

fn missing(runs: &[DistanceTable], pairs: &[StepPair]) -> Vec<StepPair> {
    let mut missing: Vec<_> = runs.iter().flat_map(|run| run.missing(pairs.iter().copied())).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// The first run, once all have its steps and streams.
fn check_alike(runs: &[DistanceTable]) -> Result<&DistanceTable, PlanError> {
    let Some(first) = runs.first() else {
        return Err(PlanError::Range {
            what: "the number of calibration runs".into(),
            value: "0".into(),
            expected: "at least 1".into(),
        });
    };
    for (number, run) in runs.iter().enumerate() {
        if run.steps() != first.steps() {
            let (expected, found) = (vec![first.steps()], vec![run.steps()]);
            return Err(PlanError::Shape {
                what: format!("calibration run {number} [steps]"),
                expected,
                found,
            });
        }
        if run.streams() != first.streams() {
            let detail = format!("run {number} was recorded for other streams than run 0");
            return Err(PlanError::Sites { model: "the calibration".into(), detail });
        }
    }
    Ok(first)
}
