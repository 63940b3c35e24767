//! `invardiff block-cache`: Block Caching.

mod eval;
mod plan;
mod train;
#[cfg(feature = "autodiff")]
mod training;

use std::process::ExitCode;

use anyhow::Result;

/// Block Caching: plan by how much modules change, and train what corrects their reuse
///
/// A module is reused until its changes from step to step have added up to a threshold; for every reuse a scale and a
/// shift for each channel can be trained, with the model as it is (arXiv 2312.03209).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Plan(args) => plan::run(args),
        Command::Train(args) => train(args),
        Command::Eval(args) => eval::run(args),
    }
}

#[cfg(feature = "autodiff")]
fn train(args: &train::Args) -> Result<ExitCode> {
    args.run()
}

#[cfg(not(feature = "autodiff"))]
fn train(_: &train::Args) -> Result<ExitCode> {
    Err(super::gradients::missing())
}
