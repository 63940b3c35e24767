//! Trains the vectors, and prints what came of it.

use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::{Pipeline, PipelineWork};
use invardiff_lab::block_cache::{ScaleShiftOptions, train};
use invardiff_plan::CachePlan;
use serde_json::json;

use super::train::Args;
use crate::commands::request;
use crate::progress::Bars;
use crate::stdout::say;

impl Args {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let mut asked = self.prompts.request();
        asked.model.clone_from(&self.model);
        asked.plan = Some(self.plan.clone());
        request::work(&asked, self.device, self)
    }

    fn options(&self) -> ScaleShiftOptions {
        let mut options = ScaleShiftOptions::default();
        options.iterations = self.iterations as usize;
        options.batch_size = self.batch_size as usize;
        options.learning_rate = self.learning_rate;
        options.seed = self.seed;
        options.images = self.images as usize;
        options.resume = self.resume;
        options
    }
}

impl PipelineWork for &Args {
    type Output = Result<ExitCode>;

    fn on<const D: usize, P: Pipeline<D>>(self, full: &P, plan: Option<CachePlan>) -> Result<ExitCode> {
        let plan = plan.context("PLAN is missing")?;
        let prompts = self.prompts.request().prompts;
        let trained = train(full, &plan, &self.plan, &prompts, &self.options(), &Bars::default())?;
        let (report, page) = (&trained.report, &trained.page);
        if self.json {
            let object = json!({
                "plan": self.plan, "adjustment": trained.adjustment, "report": page,
                "iterations": trained.iterations, "seconds": trained.seconds,
                "adjusted_modules": trained.adjusted_modules, "bytes": trained.bytes, "table": report.table,
            });
            say(format_args!("{object:#}"))?;
        } else {
            say(format_args!("{}\n{}\n\n{}", report.title, report.subtitle, report.table))?;
            say(format_args!("vectors {}\nreport  {}", trained.adjustment.display(), page.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
