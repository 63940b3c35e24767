//! `invardiff e2e`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Result, ensure};
use invardiff::fault::with_causes;
use invardiff::{DeviceChoice, DeviceKind, GpuBackend, OpenDevice};
use invardiff_lab::e2e::{Amounts, DeviceCheck, Outcome, run as check};
use serde::Serialize;

use crate::stdout::say;

const HELP: &str = "\
Examples:
  invardiff e2e --device wgpu
  invardiff e2e --device all --json
  invardiff e2e --device cuda --require --runs 16 --num-inference-steps 50
      Fails if there is no such device

On the device and on the CPU: the embedded model is calibrated and drawn from, and rates (1e-3 relative), decisions
(different only within 1e-3 of a threshold) and images (PSNR at least 50 dB, uncached and under the plans of either) are
compared. Networks are compared with stored arrays, attention with the CPU's. On the device alone: runs repeat, an
empty plan changes nothing, the cache is as large as scheduled, two threads do not affect each other.

--json prints an array with one object per device: device, model, kind, outcome (passed, failed, not_run), reason where it was
not run, seconds, and checks (name, outcome, value, bound, limit, unit, notes).";

/// Compare devices with the CPU, from calibration to images
///
/// A device that is missing is reported as not run, not as passed; with --require it is a failure.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Which device to check (as --device of other commands), or all: the first of every kind
    #[arg(long, env = "INVARDIFF_DEVICE", default_value = "auto", value_name = "DEVICE")]
    device: DeviceSelection,
    /// Fail if a device, or something that its checks need, is missing
    #[arg(long)]
    require: bool,
    /// Trajectories of the calibration
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    runs: u32,
    /// Steps of every trajectory
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=1000))]
    num_inference_steps: u32,
    /// Number of images to compare
    #[arg(long = "images", alias = "pictures", default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    images: u32,
    /// Seed of the calibration's first run
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    seed: u64,
    /// Batch, heads, tokens and channels of the attention to compare; by default FLUX's (1,24,4608,128) on GPUs,
    /// and a small one elsewhere
    #[arg(long, value_name = "B,H,N,D", value_parser = shape)]
    attention: Option<Shape>,
    /// Folders of arrays to compare networks with (see `invardiff parity`); by default the tiny DiT and FLUX of this repository
    #[arg(long, value_name = "DIR", num_args = 1..)]
    fixtures: Vec<PathBuf>,
    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

/// The values of `--device` for this command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeviceSelection {
    All,
    One(DeviceChoice),
}

impl FromStr for DeviceSelection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            one => one.parse().map(Self::One).map_err(|error| format!("{error}; here also all")),
        }
    }
}

/// A shape of four axes. (A newtype, because clap reads a list as a flag with four values.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape([usize; 4]);

fn shape(text: &str) -> Result<Shape, String> {
    let numbers: Vec<usize> = text.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    match numbers[..] {
        [b, h, n, d] if numbers.iter().all(|number| (1..=65_536).contains(number)) => Ok(Shape([b, h, n, d])),
        _ => Err("expected four numbers from 1 on, such as 1,24,4608,128".into()),
    }
}

/// The result for one device.
#[derive(Debug, Serialize)]
struct Report {
    device: String,
    model: Option<String>,
    kind: Option<DeviceKind>,
    outcome: Outcome,
    reason: Option<String>,
    seconds: f64,
    checks: Vec<DeviceCheck>,
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written. A fault of a device is not an error here, but a failed check and exit code 1.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let choices = match args.device {
        DeviceSelection::One(choice) => vec![choice],
        DeviceSelection::All => {
            let gpu = |backend| DeviceChoice::Gpu { backend, index: None };
            std::iter::once(DeviceChoice::Cpu).chain(GpuBackend::ALL.map(gpu)).collect()
        }
    };
    let reports = choices.into_iter().map(|choice| report(args, choice)).collect::<Result<Vec<_>>>()?;
    if args.json {
        say(serde_json::to_string_pretty(&reports)?)?;
    }
    let good = reports.iter().all(|report| match report.outcome {
        Outcome::Passed => true,
        Outcome::NotRun => !args.require,
        Outcome::Failed => false,
    });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(args: &Args, choice: DeviceChoice) -> Result<Report> {
    let start = Instant::now();
    let report = match absent(choice) {
        Some(reason) => Report::without_checks(choice.to_string(), Outcome::NotRun, reason),
        None => match choice.open() {
            Ok(device) => checked(args, &device, start)?,
            // The device exists but does not compute: that is not a pass either.
            Err(error) => Report::without_checks(choice.to_string(), Outcome::Failed, with_causes(&error)),
        },
    };
    if !args.json {
        say(summary(&report))?;
    }
    Ok(report)
}

/// Why a device cannot be available, as far as known before it is opened.
fn absent(choice: DeviceChoice) -> Option<String> {
    let DeviceChoice::Gpu { backend, index } = choice else { return None };
    if !backend.compiled() {
        return Some(format!("this program was built without {backend}"));
    }
    let count = backend.found().len();
    if count == 0 {
        return Some(backend.absent().to_owned());
    }
    index.filter(|index| *index >= count).map(|_| format!("{backend} has only {count} here"))
}

fn checked(args: &Args, device: &OpenDevice, start: Instant) -> Result<Report> {
    let (name, model) = (device.choice().to_string(), device.model());
    if !args.json {
        say(format_args!("{} ({})", device.describe(), device.kind().name()))?;
    }
    let amounts = amounts(args, device.kind())?;
    let json = args.json;
    let checks = check(device, &amounts, &mut |check| if json { Ok(()) } else { say(check) })?;
    let has = |outcome| checks.iter().any(|check| check.outcome == outcome);
    let needed = checks.iter().filter(|check| check.outcome == Outcome::NotRun && !optional(check)).count();
    let outcome =
        if has(Outcome::Failed) || (args.require && needed > 0) { Outcome::Failed } else { Outcome::Passed };
    let seconds = start.elapsed().as_secs_f64();
    Ok(Report { device: name, model, kind: Some(device.kind()), outcome, reason: None, seconds, checks })
}

/// Notes a check that needs an element type which the device lacks.
fn optional(check: &DeviceCheck) -> bool {
    check.name.starts_with("attention")
}

fn amounts(args: &Args, kind: DeviceKind) -> Result<Amounts> {
    let fixtures = if args.fixtures.is_empty() { shipped() } else { args.fixtures.clone() };
    for folder in &args.fixtures {
        ensure!(folder.is_dir(), "--fixtures {}: there is no such folder", folder.display());
    }
    // 576 tokens are more than the CPU path handles without tiles.
    let usual = if kind.is_processor() { [1, 2, 576, 64] } else { [1, 24, 4608, 128] };
    Ok(Amounts {
        runs: args.runs as usize,
        num_inference_steps: args.num_inference_steps as usize,
        images: args.images as usize,
        seed: args.seed,
        attention: args.attention.map_or(usual, |shape| shape.0),
        fixtures,
    })
}

/// The fixtures of the tiny DiT and FLUX, where the program runs in its repository.
fn shipped() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../invardiff-models/tests/data");
    let folders = ["dit_tiny", "flux_tiny"].map(|name| data.join(name));
    folders.into_iter().filter(|folder| folder.is_dir()).collect()
}

impl Report {
    fn without_checks(device: String, outcome: Outcome, reason: String) -> Self {
        Self {
            device,
            model: None,
            kind: None,
            outcome,
            reason: Some(reason),
            seconds: 0.0,
            checks: Vec::new(),
        }
    }
}

fn summary(report: &Report) -> String {
    let count = |outcome| report.checks.iter().filter(|check| check.outcome == outcome).count();
    match (report.outcome, &report.reason) {
        (Outcome::NotRun, Some(reason)) => format!("{}: not run: {reason}", report.device),
        (_, Some(reason)) => format!("{}: failed: {reason}", report.device),
        (outcome, None) => {
            let word = match outcome {
                Outcome::Passed => "passed",
                Outcome::Failed => "failed",
                Outcome::NotRun => "not run",
            };
            format!(
                "{}: {word}: {} checks passed, {} failed, {} not run, in {:.1} s\n",
                report.device,
                count(Outcome::Passed),
                count(Outcome::Failed),
                count(Outcome::NotRun),
                report.seconds
            )
        }
    }
}
