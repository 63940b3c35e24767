//! What can be known to be wrong with a setting before anything is measured or drawn.

use invardiff::Pipeline;
use invardiff_runtime::Sampler;

use super::bench::Bench;
use super::family::Family;
use crate::error::{Result, ensure};

/// Reads the measurements that come from files.
///
/// # Errors
/// When a file cannot be read, or is of another model or number of steps.
pub(super) fn check_files<const D: usize, P: Pipeline<D>>(bench: &mut Bench<'_, D, P>) -> Result<()> {
    if bench.files().teacache.is_some() {
        bench.teacache()?;
    }
    if bench.files().magcache.is_some() {
        bench.magnitudes()?;
    }
    if bench.files().smoothcache.is_some() {
        bench.component_errors()?;
    }
    Ok(())
}

/// Checks the setting's range; plans that need no measurement are made on trial.
///
/// # Errors
/// As [`Bench::ready`] would end, as far as it is known without running the model.
pub(super) fn check<const D: usize, P: Pipeline<D>>(
    bench: &mut Bench<'_, D, P>,
    family: &Family,
    value: f64,
) -> Result<()> {
    let (steps, runs) = (bench.pipeline().sampler().steps(), bench.runs());
    let (count, knob) = (value as usize, family.knob());
    match family {
        Family::LeastError | Family::Fitted(_) | Family::Times(_) => {
            ensure!((1..=steps).contains(&count), "the {knob} are {count}, expected 1 to {steps}");
        }
        Family::Paper(_) | Family::PaperPart(_) => {
            ensure!((0.0..=1.0).contains(&value), "the {knob} is {value}, expected 0 to 1");
        }
        Family::PaperRuns => {
            ensure!(
                count <= runs,
                "paper-runs asks for more calibration runs than there are ({count} of {runs})"
            );
        }
        Family::TeaCache | Family::MagCache | Family::SmoothCache | Family::FirstBlocks { .. } => {}
        Family::FewerSteps(_)
        | Family::Random
        | Family::Uniform
        | Family::Extrapolated
        | Family::Fora
        | Family::TaylorSeer(_)
        | Family::Spectrum
        | Family::Files { .. } => drop(bench.ready(family, value)?),
    }
    Ok(())
}
