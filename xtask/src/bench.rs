//! The benches, alone or against another commit.

mod build;
mod estimates;
mod judge;
mod table;
mod turns;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, exit_code};

use judge::Comparison;

/// What `cargo xtask bench` takes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only benchmarks whose name matches this regular expression
    filter: Option<String>,
    /// Build this commit too, run both in turns, and fail where the working tree is slower
    #[arg(long, value_name = "REV")]
    compare: Option<String>,
    /// How much slower a benchmark may be, as a fraction, before it counts
    #[arg(long, value_name = "FRACTION", default_value = "0.05", value_parser = tolerance, requires = "compare")]
    tolerance: f64,
    /// How often each of the two runs all benchmarks
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=30), requires = "compare")]
    rounds: u32,
    /// Also write the comparison to this file
    #[arg(long, value_name = "FILE", requires = "compare")]
    json: Option<PathBuf>,
    /// Passed on to criterion, e.g. `--sample-size 30`
    #[arg(last = true, value_name = "ARGS")]
    criterion: Vec<OsString>,
}

fn tolerance(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..10.0).contains(&value) {
        Ok(value)
    } else {
        Err("expected a fraction from 0 on, such as 0.05".into())
    }
}

/// Runs the benches, or compares. The exit code of a comparison is 1 where a benchmark is slower than it may be.
pub(crate) fn run(root: &Path, args: &Args) -> Result<ExitCode> {
    match &args.compare {
        None => alone(root, args),
        Some(revision) => compare(root, revision, args),
    }
}

fn alone(root: &Path, args: &Args) -> Result<ExitCode> {
    let mut cargo = cargo(root);
    cargo
        .args(["bench", "--package", build::PACKAGE, "--benches", "--"])
        .args(&args.filter)
        .args(&args.criterion);
    Ok(exit_code(cargo.status().context("cargo bench")?))
}

fn compare(root: &Path, revision: &str, args: &Args) -> Result<ExitCode> {
    let commit = build::commit(root, revision)?;
    eprintln!("bench: building {revision} ({commit}); without a cache this compiles the tensor library");
    let before = build::commit_programs(root, &commit)?;
    eprintln!("bench: building the working tree");
    let after = build::tree_programs(root)?;
    let filter = args.filter.as_deref();
    let measured = turns::run(root, [&before, &after], args.rounds, filter, &args.criterion)?;
    let comparison = Comparison::of(measured, args.tolerance);
    ensure!(
        !comparison.rows.is_empty(),
        "{revision} and the working tree have no benchmark in common{}",
        filter.map_or_else(String::new, |filter| format!(" that matches '{filter}'"))
    );
    print!("{}", table::markdown(&comparison, revision));
    if let Some(path) = &args.json {
        table::write_json(&comparison, &commit, path)?;
    }
    Ok(if comparison.slower() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
