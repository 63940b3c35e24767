//! Task runner of the InvarDiff workspace: `cargo xtask TASK`.
//!
//! Light on purpose: it depends on no crate of the workspace and builds in seconds. What needs the models is done by the
//! `invardiff` binary, which this program builds and runs.

mod bench;
mod binary;
mod campaign;
mod cargo;
mod ci;
mod dist;
mod e2e;
mod files;
mod graphics;
mod supply;
mod test;
mod tidy;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

/// Task runner of the InvarDiff workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure a model, make a caching plan, replay it and write the report (`invardiff calibrate`)
    #[command(disable_help_flag = true)]
    Calibrate(Passed),
    /// Compare methods at several settings: speed against quality (`invardiff compare`)
    #[command(disable_help_flag = true)]
    Compare(Passed),
    /// Measure what TeaCache, MagCache or SmoothCache decide by (`invardiff fit`)
    #[command(disable_help_flag = true)]
    Fit(Passed),
    /// Make images, with or without a plan (`invardiff generate`)
    #[command(disable_help_flag = true)]
    Generate(Passed),
    /// Show, convert, compare and lint plans (`invardiff plan`)
    #[command(disable_help_flag = true)]
    Plan(Passed),
    /// Train the classifier by which comparisons see what images show (`invardiff train-classifier`)
    #[command(disable_help_flag = true)]
    TrainClassifier(Passed),
    /// Check that runs repeat and that an empty plan changes nothing (`invardiff verify`)
    #[command(disable_help_flag = true)]
    Verify(Passed),
    /// Compare with fixture folders made by other programs (`invardiff parity`)
    #[command(disable_help_flag = true)]
    Parity(Passed),
    /// Learning-to-Cache: train routers, judge them, make plans of them (`invardiff route`)
    #[command(disable_help_flag = true)]
    Route(Passed),
    /// Block Caching: plan, train what corrects reuse, judge it (`invardiff block-cache`)
    #[command(disable_help_flag = true)]
    BlockCache(Passed),
    /// Run all tests and close with their counts; arguments go to `cargo test`
    #[command(disable_help_flag = true)]
    Test(Passed),
    /// Run the benches; with --compare, those of another commit in turns with them
    Bench(bench::Args),
    /// Hold devices against the processor, each with the build that reaches it (`invardiff e2e`)
    E2e(e2e::Args),
    /// Give the readers of files and answers inputs that are made to break them, on the seeds in fuzz/
    #[command(disable_help_flag = true)]
    Fuzz(Passed),
    /// Draw in many threads of one process for minutes, while files vanish, writes fail and downloads break
    #[command(disable_help_flag = true)]
    Soak(Passed),
    /// Count what the crates of the program may do: build scripts, unsafe code, connections, other programs
    Supply,
    /// Build a stripped program, and check its size and what it needs
    Dist(dist::Args),
    /// Check format, lints, docs, style and licences, then run all tests
    Ci,
    /// Check the style of the workspace: dependency arrows, file sizes, leftovers, links
    Tidy,
}

/// Everything after the task's name. Clap only lets it pass (it would drop a leading `--`); see [`rest`].
#[derive(Args, Debug)]
struct Passed {
    /// Passed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    _args: Vec<OsString>,
}

fn main() -> ExitCode {
    run(Cli::parse().task).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&own).parent().context("xtask lies in the workspace")?;
    match task {
        Task::Calibrate(_) => binary::run(root, "calibrate", &rest()),
        Task::Compare(_) => binary::run(root, "compare", &rest()),
        Task::Fit(_) => binary::run(root, "fit", &rest()),
        Task::Generate(_) => binary::run(root, "generate", &rest()),
        Task::Plan(_) => binary::run(root, "plan", &rest()),
        Task::TrainClassifier(_) => binary::run(root, "train-classifier", &rest()),
        Task::Verify(_) => binary::run(root, "verify", &rest()),
        Task::Parity(_) => binary::run(root, "parity", &rest()),
        Task::Route(_) => binary::run(root, "route", &rest()),
        Task::BlockCache(_) => binary::run(root, "block-cache", &rest()),
        Task::Test(_) => test::run(root, &rest()).map(test::Outcome::close),
        Task::Bench(args) => bench::run(root, &args),
        Task::E2e(args) => e2e::run(root, &args),
        Task::Fuzz(_) => campaign::fuzz(root, &rest()),
        Task::Soak(_) => campaign::soak(root, &rest()),
        Task::Supply => supply::run(root).map(|()| ExitCode::SUCCESS),
        Task::Dist(args) => dist::run(root, &args),
        Task::Ci => ci::run(root),
        Task::Tidy => tidy::run(root).map(|()| ExitCode::SUCCESS),
    }
}

/// The arguments after the task's name, every `--` kept.
fn rest() -> Vec<OsString> {
    std::env::args_os().skip(2).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_benches_take_a_filter_and_a_commit() {
        let parse = |args: &[&str]| {
            Cli::try_parse_from(["cargo xtask", "bench"].iter().chain(args)).map(|cli| cli.task)
        };
        for args in [
            &[][..],
            &["plan/"],
            &["plan/", "--", "--sample-size", "20"],
            &["--compare", "main", "--tolerance", "0.1", "--json", "x.json", "--rounds", "3"],
        ] {
            assert!(matches!(parse(args), Ok(Task::Bench(_))), "{args:?}");
        }
        for args in [
            &["--json", "x"][..],
            &["--compare", "main", "--rounds", "2"],
            &["--compare", "main", "--tolerance", "-1"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn arguments_of_the_binary_are_let_through() {
        for args in [&["--help"][..], &["--out", "x", "--json"], &["--", "--nocapture"], &["-h"], &[]] {
            let line = ["cargo xtask", "calibrate"].iter().chain(args);
            assert!(matches!(Cli::try_parse_from(line).unwrap().task, Task::Calibrate(_)), "{args:?}");
        }
        assert!(Cli::try_parse_from(["cargo xtask", "tidy", "--out"]).is_err());
    }
}
