//! The `invardiff` command.

mod args;
mod cli;
mod commands;
mod message;
mod progress;
mod stdout;

use std::process::ExitCode;

use clap::Parser;
use stdout::{closed, note};

/// Every operation allocates and frees large tensors. The system's allocator returns their pages each time, and faulting them
/// in again took a fifth of a forward (docs/performance.md).
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) if closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("error: {}", message::message(&error)));
            ExitCode::FAILURE
        }
    }
}
