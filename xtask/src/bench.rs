//! The benches, alone or against another commit.

mod build;
mod estimates;
mod judge;
mod peers;
mod table;
mod turns;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::cargo::{FEATURES, cargo, exit_code};

use judge::Comparison;

/// What `cargo xtask bench` takes.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only benchmarks whose name matches this regular expression
    filter: Option<String>,
    /// Build this commit too, run both in turns, and fail where the working tree is slower
    #[arg(long, value_name = "REV", group = "turns")]
    compare: Option<String>,
    /// Run one forward of a DiT in turns with other programs (PyTorch, candle) instead, see benches/peers/README.md
    #[arg(long, group = "turns", conflicts_with_all = ["filter", "criterion"])]
    peers: bool,
    /// The size of that DiT, as published
    #[arg(long, value_name = "NAME", default_value = "dit-xl-2-256", requires = "peers")]
    model: String,
    /// How many threads each program has, by default as many as this machine has cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), requires = "peers")]
    threads: Option<u32>,
    /// How much slower a benchmark may be, as a fraction, before it counts
    #[arg(long, value_name = "FRACTION", default_value = "0.05", value_parser = tolerance, requires = "compare")]
    tolerance: f64,
    /// How often each side runs
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(3..=30), requires = "turns")]
    rounds: u32,
    /// Also write the comparison to this file
    #[arg(long, value_name = "FILE", requires = "turns")]
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
        None if args.peers => beside_others(root, args),
        None => alone(root, args),
        Some(revision) => compare(root, revision, args),
    }
}

fn beside_others(root: &Path, args: &Args) -> Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or(cores, |threads| threads as usize);
    let measured = peers::run(root, &args.model, threads, args.rounds)?;
    print!("{}", peers::markdown(&measured));
    if let Some(path) = &args.json {
        table::write(&peers::json(&measured), path)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn alone(root: &Path, args: &Args) -> Result<ExitCode> {
    let mut cargo = cargo(root);
    cargo.arg("bench").args(build::BENCHES).args(FEATURES).arg("--").args(&args.filter).args(&args.criterion);
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
