//! Runs the fuzzing targets, each in a process of its own, and prints what they came to.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use invardiff_campaign::fuzz::{Budget, TARGETS, Target, run, seeds};

/// Give the readers of files and answers inputs that are made to break them
///
/// One line a target: executions, how many inputs were read, the longest that one took. A target that panics, aborts, takes more than
/// ten seconds or a GiB leaves its input in the folder of the findings and ends the run with exit code 1.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask fuzz", bin_name = "cargo xtask fuzz")]
struct Args {
    /// How long all targets together may take, on as many cores as there are
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seconds: u64,
    /// The most inputs of a target
    #[arg(long, default_value_t = u64::MAX, value_name = "N")]
    executions: u64,
    /// This target alone; may be repeated
    #[arg(long, value_name = "NAME", value_parser = named)]
    target: Vec<Target>,
    /// What the inputs depend on
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder of the seeds, one folder a target
    #[arg(long, value_name = "DIR")]
    seeds: PathBuf,
    /// The folder where inputs are left that break a target
    #[arg(long, value_name = "DIR")]
    findings: PathBuf,
    /// How many targets run at once; by default as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Run in this process: what the program starts itself with
    #[arg(long, hide = true)]
    worker: bool,
}

fn named(name: &str) -> Result<Target, String> {
    let all = TARGETS.map(|target| target.name).join(", ");
    Target::named(name).ok_or_else(|| format!("there are {all}"))
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
    std::fs::create_dir_all(&args.findings).with_context(|| args.findings.display().to_string())?;
    let targets = if args.target.is_empty() { TARGETS.to_vec() } else { args.target.clone() };
    if args.worker {
        targets.into_iter().try_for_each(|target| work(args, target))
    } else {
        all(args, &targets)
    }
}

/// Runs a target here and prints its line.
fn work(args: &Args, target: Target) -> Result<()> {
    // A panic is told once, as the end of the run, and those that a reader catches are no news.
    std::panic::set_hook(Box::new(|_| {}));
    let folder = args.seeds.join(target.name);
    let seeds = seeds(&folder).with_context(|| folder.display().to_string())?;
    let budget = Budget { time: Duration::from_secs(args.seconds), executions: args.executions };
    let current = current(&args.findings, target);
    let figures = run(target, seeds, args.seed, budget, &current).map_err(anyhow::Error::msg)?;
    std::fs::remove_file(&current)?;
    let (name, slowest) = (target.name, figures.slowest.as_secs_f64() * 1e3);
    println!(
        "{name:16} {:>10} executions {:>9} read, slowest {slowest:.1} ms",
        figures.executions, figures.accepted
    );
    Ok(())
}

/// Where the input under way stands.
fn current(findings: &Path, target: Target) -> PathBuf {
    findings.join(target.name)
}

/// Runs every target in a process of its own, some at a time.
fn all(args: &Args, targets: &[Target]) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores, usize::from).min(targets.len());
    // Each round of processes gets its share of the time.
    let seconds = (args.seconds / targets.len().div_ceil(jobs) as u64).max(1);
    let mut broken = Vec::new();
    for some in targets.chunks(jobs) {
        let started: Vec<(Target, Child)> = some
            .iter()
            .map(|target| Ok((*target, worker(args, *target, seconds)?)))
            .collect::<Result<_>>()?;
        for (target, child) in started {
            let output = child.wait_with_output()?;
            print!("{}", String::from_utf8_lossy(&output.stdout));
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                let input = current(&args.findings, target);
                broken.push(format!(
                    "{} ({}): {}; the input is {}",
                    target.name,
                    output.status,
                    said.trim(),
                    input.display()
                ));
            }
        }
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    ensure!(!targets.is_empty(), "there is no target");
    Ok(())
}

fn worker(args: &Args, target: Target, seconds: u64) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--worker").args(["--target", target.name]).arg("--seconds").arg(seconds.to_string());
    command.arg("--executions").arg(args.executions.to_string()).arg("--seed").arg(args.seed.to_string());
    command.arg("--seeds").arg(&args.seeds).arg("--findings").arg(&args.findings);
    // Inputs are small: one thread each, and as little of what threads keep for themselves.
    command.env("RAYON_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command.spawn()?)
}
