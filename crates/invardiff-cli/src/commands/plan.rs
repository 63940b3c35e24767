//! `invardiff plan`: look at plan files, convert, compare, check and make them.

mod convert;
mod diff;
mod draw;
mod lint;
mod make;
mod model;
mod show;
mod summary;
mod transfer;

use std::process::ExitCode;

use anyhow::Result;

pub(crate) use invardiff::PlanSource;
pub(crate) use invardiff::units::{bytes, two_decimals};

/// Look at plan files, convert, compare, check and make them
///
/// A plan file is this program's JSON or binary format, a cache book of the InvarDiff authors (DiT, FLUX, Wan; version 1 and 2),
/// a SmoothCache schedule or a mask of steps; the format is recognised by the content.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(show::Args),
    Convert(convert::Args),
    Diff(diff::Args),
    Lint(lint::Args),
    Make(make::Args),
    Transfer(transfer::Args),
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read or written, or a plan does not fit the model that is named.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Show(args) => show::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Make(args) => make::run(args),
        Command::Transfer(args) => transfer::run(args),
    }
}
