//! The `invardiff` command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = invardiff::cli::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
