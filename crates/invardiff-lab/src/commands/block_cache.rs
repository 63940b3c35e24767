//! `invardiff block-cache`: Block Caching.

mod eval;
mod plan;
#[cfg(feature = "autodiff")]
mod state;
mod train;
#[cfg(feature = "autodiff")]
mod training;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use invardiff::Pipeline;
use invardiff_plan::CachePlan;

use crate::commands::request::{PromptFlags, RunRequest};

/// Block Caching: plan by how much modules change, and train what corrects their reuse
///
/// A module is reused until its changes from step to step have added up to a threshold; for every reuse a scale and a
/// shift for each channel can be trained, with the model as it is (arXiv 2312.03209).
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Plan(plan::Args),
    Train(train::Args),
    Eval(eval::Args),
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read or written, or a plan does not fit the model.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Plan(args) => plan::run(args),
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::run(args),
    }
}

/// The run that a plan was made for.
fn made_for<'a>(model: Option<&'a str>, plan: &'a Path, prompts: &'a PromptFlags) -> RunRequest<'a> {
    RunRequest { model, plan: Some(plan), ..RunRequest::of(prompts) }
}

/// The plan that was read, for this pipeline and no other.
///
/// # Errors
/// When the plan was made for another run.
fn fitting<const D: usize, P: Pipeline<D>>(
    full: &P,
    found: Option<CachePlan>,
    path: &Path,
) -> Result<CachePlan> {
    let plan = found.context("PLAN is missing")?;
    full.clone().enable_cache(&plan).with_context(|| path.display().to_string())?;
    Ok(plan)
}
