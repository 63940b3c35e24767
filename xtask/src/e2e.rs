//! `cargo xtask e2e`: the binary's end-to-end checks, each device with the build that reaches it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::graphics::Build;

/// Every kind of device.
const ALL: [&str; 4] = ["cpu", "wgpu", "vulkan", "cuda"];

/// The task's own arguments; others are passed on to `invardiff e2e`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// cpu, cuda, vulkan, wgpu, the n-th of these as cuda:1, or all
    #[arg(long, default_value = "all", value_name = "DEVICE")]
    device: String,
    /// Fail where a device is not there
    #[arg(long)]
    require: bool,
    /// Build with these features instead of those that the device is usually checked with, e.g. cuda,autotune
    #[arg(long, value_name = "FEATURES")]
    features: Option<String>,
    /// Check the program as `dist` builds it, instead of one that compiles in a third of the time
    #[arg(long)]
    dist: bool,
    /// Print one JSON array instead of lines
    #[arg(long)]
    json: bool,
    /// Passed on, after --: --runs, --num-inference-steps, --images, --attention, .. (see `invardiff e2e --help`)
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<OsString>,
}

/// How it went with one device.
#[derive(Debug)]
struct Run {
    device: String,
    status: ExitStatus,
    /// The entries of its JSON, where that was asked for.
    reports: Vec<Value>,
}

/// Runs the checks on every device that was asked for. Each has a process of its own: a driver that crashes takes its own
/// checks with it and no others.
///
/// # Errors
/// When a build fails or a process cannot be started.
pub(crate) fn run(root: &Path, args: &Args) -> Result<ExitCode> {
    let devices: Vec<&str> = if args.device == "all" { ALL.into() } else { vec![&args.device] };
    let mut runs = Vec::new();
    for device in devices {
        runs.push(one(root, args, device)?);
    }
    if args.json {
        let reports: Vec<&Value> = runs.iter().flat_map(|run| &run.reports).collect();
        println!("{}", serde_json::to_string_pretty(&reports)?);
    }
    for run in runs.iter().filter(|run| run.status.code().is_none()) {
        eprintln!("e2e: {} was ended by its driver or the system ({})", run.device, run.status);
    }
    let good = runs.iter().all(|run| run.status.success());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The checks of one device, as a step of another task.
///
/// # Errors
/// When a check fails, or with `require` when there is no such device.
pub(crate) fn check(root: &Path, device: &str, require: bool) -> Result<()> {
    let args = Args {
        device: device.to_owned(),
        require,
        features: None,
        dist: false,
        json: false,
        rest: Vec::new(),
    };
    let Run { status, .. } = one(root, &args, device)?;
    ensure!(status.success(), "the checks of {device} failed ({status})");
    Ok(())
}

fn one(root: &Path, args: &Args, device: &str) -> Result<Run> {
    let own = Build::of_device(device)?;
    let build = args.features.as_deref().map_or(Ok(own), Build::with)?;
    let build = if args.dist { build.small() } else { build };
    let mut program = Command::new(build.build(root)?);
    program.args(["e2e", "--device", device]);
    if args.require {
        program.arg("--require");
    }
    program.args(&args.rest);
    let device = device.to_owned();
    if !args.json {
        let status = program.status().with_context(|| format!("the checks of {device}"))?;
        return Ok(Run { device, status, reports: Vec::new() });
    }
    let output = program.arg("--json").stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("the checks of {device}"))?;
    let reports = match serde_json::from_slice(&output.stdout) {
        Ok(Value::Array(reports)) => reports,
        // It died before it could say anything.
        Ok(_) | Err(_) => vec![
            serde_json::json!({ "device": device, "outcome": "failed", "reason": output.status.to_string() }),
        ],
    };
    Ok(Run { device, status: output.status, reports })
}
