//! Methods at several settings on one model, compared with the full run and with the converged trajectory.

mod bench;
mod entrants;
mod family;
mod knee;
mod method;
mod options;
mod preflight;
mod present;
mod targets;

use invardiff::Pipeline;
use invardiff_report::Study;
use invardiff_runtime::{Phase, Progress, Sampler};
use ndarray::Array4;

use crate::compare::{Images, compare, draw};
use crate::error::{InSetting, Result};
use crate::held_out::HELD_OUT;

pub use method::Method;
pub use options::{MeasurementFiles, Scoring, StudyOptions};

/// Draws held-out images from the same noise by every method, in turns in one process and one image at a time, and compares
/// them with both references. What a method is calibrated from is measured here, on other seeds.
///
/// # Errors
/// When a method's setting does not fit, a file cannot be read, or a candidate cannot run.
pub fn study<const D: usize, P: Pipeline<D>>(
    full: &P,
    options: &StudyOptions,
    scoring: Scoring,
    progress: &dyn Progress,
) -> Result<Study> {
    let entrants = entrants::entrants(options, full, progress)?;
    let count = options.images;
    let subjects: Vec<P::Subject> = (0..count).map(|image| full.subject(image)).collect();
    let first = options.seed.wrapping_add(HELD_OUT);
    let seeds: Vec<u64> = (0..count as u64).map(|image| first.wrapping_add(image)).collect();
    let wanted = Images { subjects: &subjects, seeds: &seeds, batch: 1 };
    let converged = converged(options, full, &wanted, progress)?;
    let reference = converged.as_ref().map(|(_, images)| images);
    let phase = Phase::begin(progress, "comparing (images)", entrants.candidates.len() * count);
    let evaluated = compare(&entrants.candidates, &wanted, reference, &|| phase.advance(1))?;
    drop(phase);
    let names = subjects.iter().map(|subject| full.describe(subject)).collect();
    let classes = subjects.iter().map(|subject| full.class(subject)).collect();
    let extras = present::Extras { names, classes, scoring };
    present::study(options, full, &entrants, &evaluated, converged, &extras)
}

/// The converged images, from many steps of the model's best solver, and that solver's name.
fn converged<const D: usize, P: Pipeline<D>>(
    options: &StudyOptions,
    full: &P,
    wanted: &Images<'_, P::Subject>,
    progress: &dyn Progress,
) -> Result<Option<(String, Array4<f32>)>> {
    let steps = options.converged_steps;
    let Some(solver) = full.solvers().last().filter(|_| steps > 0) else { return Ok(None) };
    let pipeline = full.with_sampler(*solver, steps).in_setting("converged_steps")?;
    let phase = Phase::begin(progress, "drawing the converged images", wanted.seeds.len());
    let images = draw(&pipeline, wanted, &|| phase.advance(1))?;
    let name = format!("{steps} steps of {}", pipeline.sampler().name());
    Ok(Some((name, images)))
}
