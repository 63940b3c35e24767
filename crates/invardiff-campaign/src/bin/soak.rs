//! Keeps a process busy for minutes, and checks that nothing changes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use invardiff_campaign::soak::{Options, run};

/// Draw images of several models and plans in many threads of one process, while files vanish, writes fail and downloads break
///
/// Exits with 1 where an image differs from the first of its kind, a file is torn, a download is not what was published, or resident
/// memory grows by more than 2 % after the first fifth of the time.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask soak", bin_name = "cargo xtask soak")]
struct Args {
    /// How long
    #[arg(long, default_value_t = 3.0, value_name = "MINUTES")]
    minutes: f64,
    /// Threads that draw
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// The folder for what is written
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    match start(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> Result<()> {
    ensure!(
        args.minutes > 0.0 && args.minutes < 1e6,
        "--minutes {}: expected a positive number",
        args.minutes
    );
    let options = Options {
        time: Duration::from_secs_f64(args.minutes * 60.0),
        threads: usize::from(args.threads),
        folder: args.folder.clone(),
    };
    let report = run(&options).map_err(anyhow::Error::msg)?;
    println!("{report}");
    ensure!(report.growth() <= 0.02, "resident memory grew by {:.1} %", report.growth() * 100.0);
    Ok(())
}
