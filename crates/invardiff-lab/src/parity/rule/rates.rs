//! Change rates against the stored ones.

use invardiff_plan::two_phase::{DistanceTable, RateTable};
use ndarray::ArrayD;

use super::stored::{PhaseArrays, named};
use crate::error::{Context, Result};
use crate::parity::arrays::Arrays;
use crate::parity::check::{Checks, Deviation};
use crate::parity::compare::{relative, relative_on_average, stacked};

/// Tolerance of averaged change rates, relative (README of the fixtures).
const RATES: f64 = 1e-5;
/// Tolerance of rates of single runs, which vary more than their mean.
const RATES_OF_A_RUN: f64 = 3e-5;
/// Tolerance of thresholds of a measured trajectory. The fixtures' thresholds are at least this far from every rate.
const MARGIN: f64 = 3e-5;

/// How exactly rates can be reproduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From stored features: every rate must be within its tolerance.
    Given,
    /// From features that a model computes in f32. Where a feature hardly changes, its rate is a quotient of small
    /// differences of large numbers; even a model in f64 then misses single rates of an f32 reference by 1e-5 (as
    /// measured on a trained fixture), so only their average must be within it.
    Computed,
}

impl Origin {
    fn compare(self, found: &ArrayD<f64>, expected: &ArrayD<f64>, tolerance: f64) -> Result<Deviation> {
        match self {
            Self::Given => relative(found, expected, tolerance),
            Self::Computed => relative_on_average(found, expected, tolerance),
        }
    }

    /// The tolerance of a threshold, relative.
    pub(super) const fn threshold(self) -> f64 {
        match self {
            Self::Given => RATES,
            Self::Computed => MARGIN,
        }
    }
}

/// Compares mean rates, where any are stored.
pub(crate) fn check_rates(
    checks: &mut Checks,
    arrays: &Arrays,
    origin: Origin,
    name: &str,
    stored: &PhaseArrays,
    found: &RateTable,
) {
    if !stored.averages.is_empty() {
        checks.run(name, || {
            worst(stored.averages.iter().map(|(stream, key)| {
                Ok((stream.as_str(), origin.compare(&named(found, stream)?, &arrays.get(key)?, RATES)?))
            }))
        });
    }
}

/// Compares the rates of every run, where they are stored: `{prefix}runs_<stream>`, `[runs, steps, ...]`.
pub(crate) fn check_runs(
    checks: &mut Checks,
    arrays: &Arrays,
    origin: Origin,
    prefix: &str,
    tables: &[DistanceTable],
    rates: impl Fn(&DistanceTable) -> Result<RateTable>,
) {
    let stored = PhaseArrays::read(arrays, prefix);
    if stored.runs.is_empty() {
        return;
    }
    let name = format!("{} rates of each run", prefix.replace('.', " ").replace("phase", "phase ").trim());
    checks.run(name, || {
        let each = tables.iter().map(rates).collect::<Result<Vec<_>>>()?;
        worst(stored.runs.iter().map(|(stream, key)| {
            let found = each.iter().map(|rates| named(rates, stream)).collect::<Result<Vec<_>>>()?;
            Ok((stream.as_str(), origin.compare(&stacked(&found)?, &arrays.get(key)?, RATES_OF_A_RUN)?))
        }))
    });
}

/// The worst of several comparisons, with its name if it fails.
pub(super) fn worst<'a>(each: impl Iterator<Item = Result<(&'a str, Deviation)>>) -> Result<Deviation> {
    let mut worst: Option<(&str, Deviation)> = None;
    for found in each {
        let (name, measured) = found?;
        if worst.as_ref().is_none_or(|(_, known)| measured.error > known.error) {
            worst = Some((name, measured));
        }
    }
    let (name, measured) = worst.context("nothing is stored")?;
    Ok(match measured.note.clone() {
        _ if measured.error <= measured.tolerance => measured,
        Some(note) => measured.with_note(format!("of {name}; {note}")),
        None => measured.with_note(format!("of {name}")),
    })
}
