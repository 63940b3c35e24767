//! The same calibration on both devices.

use invardiff::{ClassToImage, ModelFacts, Preset, Sampling};
use invardiff_calib::{RecordOptions, Run, Session};
use invardiff_plan::CachePlan;
use invardiff_plan::core::Threshold;
use invardiff_plan::two_phase::{
    DistanceTable, RateTable, ReuseMasks, Settings, TwoPhase, Variant, two_phase,
};
use invardiff_runtime::Denoiser;

use super::books::{Differences, differences};
use super::check::{Checks, DeviceCheck};
use super::pair::Pair;
use crate::error::{Error, Result};

/// The largest relative difference of rates and thresholds, and how near to a threshold a decision may differ.
const TOLERANCE: f64 = 1e-3;

/// The plans from both devices.
pub(super) struct Plans {
    /// The CPU's.
    pub(super) processor: CachePlan,
    /// The device's.
    pub(super) device: CachePlan,
}

/// The measurements of one device.
struct Calibrated {
    tables: Vec<DistanceTable>,
    phases: TwoPhase,
    plan: CachePlan,
}

/// Compares rates, thresholds and decisions. Without a calibration of the device, its plan is the CPU's.
///
/// # Errors
/// When the CPU cannot calibrate, or a check cannot be shown.
pub(super) fn compare(pair: &Pair<'_>, checks: &mut Checks<'_>) -> Result<Plans> {
    let settings = settings(&pair.processor);
    let expected = measure(pair, &pair.processor, &settings)?;
    let mut found = None;
    checks.run("calibration", || {
        let measured = found.insert(measure(pair, &pair.device, &settings)?);
        let runs = measured.tables.len();
        Ok(DeviceCheck::equal(runs as f64, pair.amounts.runs as f64, "runs recorded"))
    })?;
    let Some(found) = found else {
        return Ok(Plans { processor: expected.plan.clone(), device: expected.plan });
    };
    // Later stages of both start from the CPU's masks, so that a differing decision is counted once.
    let reference = reference(&settings, &expected.phases.provisional);
    let [own, others] = [&expected, &found].map(|measured| second_phase(measured, &settings, &reference));
    let ((own_rates, own_thresholds), (rates, thresholds)) = (own?, others?);
    let first = (&expected.phases.first, &found.phases.first);
    checks.run("rates of the first phase", || Ok(rates_apart(&first.0.rates, &first.1.rates)))?;
    checks.run("rates of the second phase", || Ok(rates_apart(&own_rates, &rates)))?;
    checks.run("thresholds", || {
        let both = first.0.thresholds.iter().chain(&own_thresholds);
        let pairs = both.zip(first.1.thresholds.iter().chain(&thresholds));
        Ok(DeviceCheck::at_most(worst(pairs.map(|(a, b)| (a.value, b.value))), TOLERANCE, "relative"))
    })?;
    checks.run("decisions between the phases", || {
        let make = |thresholds: &[Threshold]| settings.provisional_masks(&first.0.rates, thresholds);
        decisions(&found.phases.provisional, &first.0.thresholds, make)
    })?;
    checks.run("decisions of the plan", || {
        let make = |thresholds: &[Threshold]| settings.final_masks(&own_rates, thresholds);
        decisions(&settings.final_masks(&rates, &thresholds)?, &own_thresholds, make)
    })?;
    Ok(Plans { processor: expected.plan, device: found.plan })
}

fn settings(pipeline: &ClassToImage) -> Settings {
    Preset::PaperFast.settings(Variant::Dit, &pipeline.denoiser().topology())
}

fn measure(pair: &Pair<'_>, pipeline: &ClassToImage, settings: &Settings) -> Result<Calibrated> {
    let topology = pipeline.denoiser().topology();
    let seeds = pair.amounts.seed..;
    let runs = pair.classes(pair.amounts.runs).into_iter().zip(seeds);
    let run = |(class, seed)| Ok(Run { noise: pipeline.noise(&[seed]), cond: pipeline.condition(&[class])? });
    let runs = runs.map(run).collect::<Result<Vec<_>>>()?;
    // Every pair of steps, so that the second phase can be measured under any masks.
    let options = RecordOptions {
        module_window: pair.steps(),
        trunk_window: pair.steps(),
        similarity: false,
        probe: false,
    };
    let (tables, _) = Session::new(pipeline.denoiser(), pipeline.sampler(), &runs)?.record(&options)?;
    let phases = two_phase(&tables, settings)?;
    let mut plan = phases.plan(&topology)?;
    plan.provenance.execution = Some(pipeline.execution());
    Ok(Calibrated { tables, phases, plan })
}

/// The masks under which the second phase is measured.
fn reference(settings: &Settings, provisional: &ReuseMasks) -> ReuseMasks {
    let books = provisional.clone();
    if settings.variant.corrects_gate() { books } else { books.without_gate() }
}

fn second_phase(
    measured: &Calibrated,
    settings: &Settings,
    reference: &ReuseMasks,
) -> Result<(RateTable, Vec<Threshold>)> {
    let each = measured.tables.iter().map(|table| RateTable::phase2(table, reference));
    let rates = RateTable::mean(&each.collect::<Result<Vec<_>, _>>()?)?;
    let thresholds = settings.thresholds(&rates)?;
    Ok((rates, thresholds))
}

fn rates_apart(expected: &RateTable, found: &RateTable) -> DeviceCheck {
    let trunk = expected.trunk().into_iter().zip(found.trunk());
    let streams = expected.streams().iter().zip(found.streams());
    let streams = streams.flat_map(|((_, expected), (_, found))| expected.iter().zip(found));
    let pairs: Vec<(f32, f32)> = trunk.chain(streams).map(|(a, b)| (*a, *b)).collect();
    let check = DeviceCheck::at_most(worst(pairs.iter().copied()), TOLERANCE, "relative");
    check.with_notes([format!("{} rates", pairs.len())])
}

/// The largest `|found - expected| / |expected|`; infinite where only one of them is NaN.
fn worst(pairs: impl Iterator<Item = (f32, f32)>) -> f64 {
    let apart = |(expected, found): (f32, f32)| {
        if expected.to_bits() == found.to_bits() {
            return 0.0;
        }
        let (expected, found) = (f64::from(expected), f64::from(found));
        let apart = (found - expected).abs() / expected.abs();
        if apart.is_nan() { f64::INFINITY } else { apart }
    };
    pairs.map(apart).fold(0.0, f64::max)
}

fn decisions<E>(
    found: &ReuseMasks,
    thresholds: &[Threshold],
    make: impl Fn(&[Threshold]) -> Result<ReuseMasks, E>,
) -> Result<DeviceCheck>
where
    Error: From<E>,
{
    let moved = |by: f64| -> Vec<Threshold> {
        let move_one = |threshold: &Threshold| Threshold {
            value: (f64::from(threshold.value) * (1.0 + by)) as f32,
            ..threshold.clone()
        };
        thresholds.iter().map(move_one).collect()
    };
    let (low, high) = (make(&moved(-TOLERANCE))?, make(&moved(TOLERANCE))?);
    let Differences { at_thresholds, elsewhere } = differences(found, &make(thresholds)?, &low, &high);
    let tolerated = at_thresholds.into_iter().map(|place| format!("within 1e-3 of a threshold: {place}"));
    let check = DeviceCheck::equal(elsewhere.len() as f64, 0.0, "decisions differ");
    Ok(check.with_notes(elsewhere.into_iter().chain(tolerated)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_compared_relatively_and_a_missing_number_never_passes() {
        assert_eq!(worst([(2.0, 2.0), (0.0, 0.0), (f32::NAN, f32::NAN)].into_iter()), 0.0);
        assert_eq!(worst([(2.0, 2.5), (4.0, 3.0)].into_iter()), 0.25);
        for odd in [(f32::NAN, 1.0), (1.0, f32::NAN), (0.0, 1.0), (f32::INFINITY, 1.0)] {
            assert_eq!(worst([odd].into_iter()), f64::INFINITY, "{odd:?}");
        }
    }
}
