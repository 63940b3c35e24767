//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{block_cache, calibrate, compare, fit, generate, parity, plan, route, verify};

/// Feature caching for diffusion transformers: measure how much changes from step to step, make a plan, replay it.
#[derive(Debug, Parser)]
#[command(name = "invardiff", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Calibrate(calibrate::Args),
    Compare(compare::Args),
    Fit(fit::Args),
    Generate(generate::Args),
    Plan(plan::Args),
    Verify(verify::Args),
    Parity(parity::Args),
    Route(route::Args),
    BlockCache(block_cache::Args),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// Does what was asked for. The exit code tells a check that failed (1) from one that passed (0).
    ///
    /// # Errors
    /// One error that names the file, key or flag, for anything that cannot be done.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Calibrate(args) => calibrate::run(&args),
            Command::Compare(args) => compare::run(&args),
            Command::Fit(args) => fit::run(&args),
            Command::Generate(args) => generate::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::Verify(args) => verify::run(&args),
            Command::Parity(args) => parity::run(&args),
            Command::Route(args) => route::run(&args),
            Command::BlockCache(args) => block_cache::run(&args),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "invardiff", &mut std::io::stdout());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
