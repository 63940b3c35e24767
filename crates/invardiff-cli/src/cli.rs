//! The command line.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use invardiff::fault::caught;

#[cfg(feature = "autodiff")]
use crate::commands::train_classifier;
use crate::commands::{
    bench_model, block_cache, calibrate, compare, devices, e2e, fit, generate, parity, plan, route, verify,
};

/// Feature caching for diffusion transformers: measure how much features change from step to step, make a plan, replay it.
#[derive(Debug, Parser)]
#[command(name = "invardiff", version = invardiff_lab::VERSION, max_term_width = 110)]
pub(crate) struct Cli {
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
    #[cfg(feature = "autodiff")]
    TrainClassifier(train_classifier::Args),
    Verify(verify::Args),
    Parity(parity::Args),
    Route(route::Args),
    BlockCache(block_cache::Args),
    Devices(devices::Args),
    E2e(e2e::Args),
    BenchModel(bench_model::Args),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Cli {
    /// Runs the command. The exit code is 0, or 1 if a check failed.
    ///
    /// # Errors
    /// One error that names the file, key or flag, for anything that cannot be done.
    pub(crate) fn run(self) -> Result<ExitCode> {
        caught(|| self.command.run())?
    }
}

impl Command {
    fn run(self) -> Result<ExitCode> {
        match self {
            Self::Calibrate(args) => calibrate::run(&args),
            Self::Compare(args) => compare::run(&args),
            Self::Fit(args) => fit::run(&args),
            Self::Generate(args) => generate::run(&args),
            Self::Plan(args) => plan::run(&args),
            #[cfg(feature = "autodiff")]
            Self::TrainClassifier(args) => train_classifier::run(&args),
            Self::Verify(args) => verify::run(&args),
            Self::Parity(args) => parity::run(&args),
            Self::Route(args) => route::run(&args),
            Self::BlockCache(args) => block_cache::run(&args),
            Self::Devices(args) => devices::run(args),
            Self::E2e(args) => e2e::run(&args),
            Self::BenchModel(args) => bench_model::run(&args),
            Self::Completions { shell } => {
                // Into memory first, because the generator does not report a closed pipe as an error.
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "invardiff", &mut script);
                std::io::stdout().lock().write_all(&script)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
