//! `invardiff parity`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use invardiff_lab::parity::{Checked, Comparison, Deviation, Measure, check_all, shipped};
use serde::Serialize;

use crate::args::DeviceArg;
use crate::stdout::say;

/// Compare with fixtures: arrays that other programs made
///
/// A fixture is a folder with a manifest.json, whose `kind` says what is in it: a transformer with its forward and its
/// trajectories (dit, flux), a calibration with the plans that it made (dit_calibration, flux_calibration), text encoders
/// (text_encoders), an autoencoder (autoencoder_kl), the calibration rules on given features (analyser_dit,
/// analyser_flux, analyser_wan), the quantile, samplers, image metrics. A folder of the authors' cache_books_*.json needs
/// no manifest: every book is read, written again, and lowered to a schedule.
///
/// Sizes, steps and thresholds are read from the folder. Each line is one comparison with its largest error and the
/// tolerance; only arrays that the folder has are compared. The exit code is 1 when any
/// comparison fails.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    invardiff parity fixtures/dit_tiny\n  \
    invardiff parity fixtures --json > parity.json\n  \
    invardiff parity my_calibration my_weights   (the first names the second as its weights)")]
pub(crate) struct Args {
    /// Fixture folders, or folders that have some below them; by default those of known kinds that this repository ships
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Print an array of objects instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArg,
}

/// Runs the command.
///
/// # Errors
/// When no folder is given and none is shipped. A fault in a folder is a failed line, not an error.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let dirs = if args.dirs.is_empty() { shipped() } else { args.dirs.clone() };
    if dirs.is_empty() {
        bail!("there are no fixtures beside this program; give folders: invardiff parity DIR...");
    }
    let (mut passed, mut failed, mut lines) = (0, 0, Vec::new());
    let device = args.device.open()?;
    let mut said = Ok(());
    check_all(&dirs, &device, |checked| {
        let good = checked.checks.iter().filter(|check| check.passed()).count();
        (passed, failed) = (passed + good, failed + checked.checks.len() - good);
        if args.json {
            lines.extend(checked.checks.iter().map(|check| Line::of(checked, check)));
        } else {
            said = std::mem::replace(&mut said, Ok(())).and_then(|()| print(checked));
        }
    });
    said?;
    if args.json {
        say(serde_json::to_string_pretty(&lines)?)?;
    } else {
        say(format_args!("{passed} passed, {failed} failed"))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One comparison as an object. Without `error` and `tolerance` the comparison could not be made; `error` alone is null where it
/// is infinite.
#[derive(Clone, Debug, Serialize)]
struct Line {
    folder: PathBuf,
    kind: Option<String>,
    check: String,
    passed: bool,
    error: Option<f64>,
    tolerance: Option<f64>,
    measure: Option<String>,
    note: Option<String>,
}

impl Line {
    fn of(checked: &Checked, check: &Comparison) -> Self {
        let measured = check.outcome.as_ref().ok();
        Self {
            folder: checked.path.clone(),
            kind: checked.kind.clone(),
            check: check.name.clone(),
            passed: check.passed(),
            error: measured.map(|measured| measured.error).filter(|error| error.is_finite()),
            tolerance: measured.map(|measured| measured.tolerance),
            measure: measured.map(|measured| measured.measure.to_string()),
            note: match &check.outcome {
                Ok(measured) => measured.note.clone(),
                Err(message) => Some(message.clone()),
            },
        }
    }
}

fn print(checked: &Checked) -> io::Result<()> {
    let folder = &checked.label;
    let width = checked.checks.iter().map(|check| check.name.len()).max().unwrap_or(0).max(34);
    for check in &checked.checks {
        let verdict = if check.passed() { "ok" } else { "FAIL" };
        let result = match &check.outcome {
            Ok(measured) => numbers(measured),
            Err(message) => message.clone(),
        };
        say(format_args!("{verdict:<4}  {folder:<24}  {:<width$}  {result}", check.name))?;
    }
    Ok(())
}

fn numbers(measured: &Deviation) -> String {
    let Deviation { error, tolerance, measure, note } = measured;
    // 0 and counts as they are, other numbers in powers of ten; a tolerance without trailing zeros.
    let short = |value: f64, text: String| if value == 0.0 { "0".to_owned() } else { text };
    let (error, tolerance) = match measure {
        Measure::Entries => (error.to_string(), tolerance.to_string()),
        Measure::Absolute
        | Measure::OfLargest
        | Measure::Relative
        | Measure::RelativeOnAverage
        | Measure::Decibels => {
            let tolerance_text = format!("{tolerance:.1e}").replace(".0e", "e");
            (short(*error, format!("{error:.2e}")), short(*tolerance, tolerance_text))
        }
    };
    let line = format!("{error:>8}  {tolerance:>7}  {measure}");
    match note {
        Some(note) => format!("{line}  ({note})"),
        None => line,
    }
}
