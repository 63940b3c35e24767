//! `invardiff compare`: methods at several settings on one model, against two references.

mod args;
mod bench;
mod entrants;
mod family;
mod knee;
mod method;
mod present;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::{Pipeline, ReferenceClassifier};
use invardiff_eval::Lpips;
use invardiff_plan::CachePlan;
use invardiff_report::Study;
use ndarray::Array4;

use super::request::{ModelSource, RunRequest, Work};
use crate::compare::{Images, draw};
use crate::held_out::HELD_OUT;
use crate::progress::bar;
use crate::stdout::say;

pub use args::Args;

/// Runs the command.
///
/// # Errors
/// When the model or a file cannot be loaded, a method's setting does not fit, or a file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let wanted = RunRequest {
        model: Some(&args.model),
        sampler: args.sampler,
        num_inference_steps: args.num_inference_steps,
        guidance_scale: args.guidance_scale,
        ..RunRequest::of(&args.prompts)
    };
    let (choice, device) = (wanted.resolve()?, args.device.open()?);
    let critic = match (&args.classifier, &choice.model) {
        (Some(path), _) => Some(ReferenceClassifier::read(path, &device).context("--classifier")?),
        (None, ModelSource::Embedded(embedded)) => embedded.reference_classifier(&device)?,
        (None, ModelSource::Dit(_) | ModelSource::Flux(_)) => None,
    };
    choice.work(&wanted, &device, Comparison { args, critic })
}

/// The candidates, and the classifier where there is one.
struct Comparison<'a> {
    args: &'a Args,
    critic: Option<ReferenceClassifier>,
}

impl Work for Comparison<'_> {
    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, _: Option<CachePlan>) -> Result<ExitCode> {
        let Self { args, critic } = self;
        let folder =
            args.out.clone().unwrap_or_else(|| PathBuf::from("out").join(format!("compare-{}", full.name())));
        std::fs::create_dir_all(&folder).with_context(|| format!("--out {}", folder.display()))?;
        let study = study(args, full, critic)?;
        let page = study.write(&folder)?;
        if args.json {
            say(serde_json::to_string_pretty(&study)?)?;
        } else {
            say(format_args!(
                "{}\n{}\n\n{}\nreport {}",
                study.title,
                study.subtitle,
                study.text(),
                page.display()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Draws and compares.
fn study<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    critic: Option<ReferenceClassifier>,
) -> Result<Study> {
    let lpips = args
        .lpips
        .as_ref()
        .map(|path| Lpips::load(path, args.lpips_backbone.backbone(), full.device()))
        .transpose()
        .context("--lpips")?;
    let entrants = entrants::entrants(args, full)?;
    let images = args.images as usize;
    let subjects: Vec<P::Subject> = (0..images).map(|image| full.subject(image)).collect();
    let first = args.seed.wrapping_add(HELD_OUT);
    let seeds: Vec<u64> = (0..images as u64).map(|image| first.wrapping_add(image)).collect();
    let wanted = Images { subjects: &subjects, seeds: &seeds, batch: 1 };
    let converged = converged(args, full, &wanted)?;
    let progress = bar(entrants.candidates.len() * images, "comparing (images)");
    let reference = converged.as_ref().map(|(_, images)| images);
    let evaluated = crate::compare(&entrants.candidates, &wanted, reference, &|| progress.inc(1))?;
    progress.finish_and_clear();
    let names = subjects.iter().map(|subject| full.describe(subject)).collect();
    let classes = subjects.iter().map(|subject| full.class(subject)).collect();
    let extras = present::Extras { names, classes, lpips, critic };
    present::study(args, full, &entrants, &evaluated, converged, &extras)
}

/// The converged images, from many steps of the model's best solver, and that solver's name.
fn converged<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    wanted: &Images<'_, P::Subject>,
) -> Result<Option<(String, Array4<f32>)>> {
    let steps = args.converged_steps as usize;
    let Some(solver) = full.solvers().last().filter(|_| steps > 0) else { return Ok(None) };
    let pipeline = full.with_sampler(*solver, steps).context("--converged-steps")?;
    let progress = bar(wanted.seeds.len(), "drawing the converged images");
    let images = draw(&pipeline, wanted, &|| progress.inc(1))?;
    progress.finish_and_clear();
    let name = format!("{steps} steps of {}", invardiff_runtime::Sampler::name(pipeline.sampler()));
    Ok(Some((name, images)))
}
