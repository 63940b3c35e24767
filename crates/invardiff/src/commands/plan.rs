//! `invardiff plan`: look at plan files, convert, compare, check and make them.

mod convert;
mod diff;
mod draw;
mod lint;
mod make;
mod model;
mod open;
mod show;
mod summary;
mod transfer;

use std::process::ExitCode;

use anyhow::Result;

pub(in crate::commands) use crate::units::bytes;
pub(in crate::commands) use model::named as named_topology;
pub(in crate::commands) use open::Source;

/// Look at plan files, convert, compare, check and make them
///
/// A plan file is ours (JSON or binary), a book of the InvarDiff authors (DiT, FLUX, Wan; version 1 and 2), a SmoothCache
/// schedule or a mask of steps; which one it is, is told by its content.
#[derive(Debug, clap::Args)]
pub struct Args {
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
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Show(args) => show::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Make(args) => make::run(args),
        Command::Transfer(args) => transfer::run(args),
    }
}

/// Rounded to two decimals, for numbers in JSON.
pub(in crate::commands) fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
