//! The `invardiff` command.

use std::process::ExitCode;

use clap::Parser;
use invardiff::stdout::{closed, in_one_line};

fn main() -> ExitCode {
    let cli = invardiff::cli::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) if closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}
