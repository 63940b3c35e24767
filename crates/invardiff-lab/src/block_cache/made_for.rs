//! The run that a plan was made for.

use std::path::Path;

use anyhow::{Context, Result};
use invardiff::Pipeline;
use invardiff_plan::CachePlan;

use crate::commands::request::{PromptFlags, RunRequest};

/// The run that a plan was made for.
pub(super) fn made_for<'a>(
    model: Option<&'a str>,
    plan: &'a Path,
    prompts: &'a PromptFlags,
) -> RunRequest<'a> {
    RunRequest { model, plan: Some(plan), ..RunRequest::of(prompts) }
}

/// The plan that was read, for this pipeline and no other.
///
/// # Errors
/// When the plan was made for another run.
pub(super) fn fitting<const D: usize, P: Pipeline<D>>(
    full: &P,
    found: Option<CachePlan>,
    path: &Path,
) -> Result<CachePlan> {
    let plan = found.context("PLAN is missing")?;
    full.clone().enable_cache(&plan).with_context(|| path.display().to_string())?;
    Ok(plan)
}
