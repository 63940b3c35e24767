//! `invardiff route`: Learning-to-Cache.

mod eval;
mod plan;
mod train;

use std::process::ExitCode;

use anyhow::Result;

/// Learning-to-Cache: train routers, judge them, make plans of them
///
/// A router holds one number for every module of the network and every second step: how much the module's fresh value is
/// worth against the one that was kept a step before (arXiv 2406.01733). Routers are trained with the model as it is; a
/// threshold then makes a plan of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Train(train::Args),
    Eval(eval::Args),
    Plan(plan::Args),
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read or written, or routers do not fit the model.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Train(args) => train(args),
        Command::Eval(args) => eval::run(args),
        Command::Plan(args) => plan::run(args),
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
