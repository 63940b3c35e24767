//! `invardiff compare`: methods at several settings on one model, against two references.

mod args;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::{ModelSource, Pipeline, PipelineWork, ReferenceClassifier, files};
use invardiff_eval::Lpips;
use invardiff_lab::study::{Scoring, study};
use invardiff_plan::CachePlan;

use super::request;
use crate::progress::Bars;
use crate::stdout::say;

pub(crate) use args::Args;

/// Runs the command.
///
/// # Errors
/// When the model or a file cannot be loaded, a method's setting does not fit, or a file cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut asked = args.prompts.request();
    asked.runs = request::steps(args.runs);
    asked.model = Some(args.model.clone());
    asked.sampler = args.sampler;
    asked.num_inference_steps = request::steps(args.num_inference_steps);
    asked.guidance_scale = args.guidance_scale;
    let bars = Bars::default();
    let (resolved, device) = (asked.resolve(&bars)?, args.device.open()?);
    let classifier = match (&args.classifier, &resolved.model) {
        (Some(path), _) => Some(ReferenceClassifier::read(path, &device).context("--classifier")?),
        (None, ModelSource::Embedded(embedded)) => embedded.reference_classifier(&device)?,
        (None, ModelSource::Dit(_) | ModelSource::Flux(_)) => None,
    };
    resolved.work(&asked, &device, &bars, Comparison { args, classifier, bars: &bars })?
}

/// The flags, and the classifier where there is one.
struct Comparison<'a> {
    args: &'a Args,
    classifier: Option<ReferenceClassifier>,
    bars: &'a Bars,
}

impl PipelineWork for Comparison<'_> {
    type Output = Result<ExitCode>;

    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, _: Option<CachePlan>) -> Result<ExitCode> {
        let Self { args, classifier, bars } = self;
        let folder =
            args.out.clone().unwrap_or_else(|| PathBuf::from("out").join(format!("compare-{}", full.name())));
        std::fs::create_dir_all(&folder).with_context(|| format!("--out {}", folder.display()))?;
        files::check_writable(&folder.join("study.html")).context("--out")?;
        let load = |path: &PathBuf| Lpips::load(path, args.lpips_backbone.backbone(), full.device());
        let lpips = args.lpips.as_ref().map(load).transpose().context("--lpips")?;
        let study = study(full, &args.options(), Scoring { lpips, classifier }, bars)?;
        let page = study.write(&folder)?;
        if args.json {
            say(serde_json::to_string_pretty(&study)?)?;
        } else {
            say(format_args!(
                "{}\n{}\n\n{}\n{}\nreport {}",
                study.title,
                study.subtitle,
                study.text(),
                study.verdict,
                page.display()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
