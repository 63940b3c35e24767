//! `invardiff devices`.

use std::fmt;
use std::process::ExitCode;

use crate::stdout::say;
use anyhow::Result;
use burn::tensor::Device;
use invardiff::Dtype;
use invardiff::device::{DeviceChoice, DeviceKind, Found, GpuBackend, memory};
use invardiff::fault::{caught, with_causes};
use serde::Serialize;

const HELP: &str = "\
Examples:
  invardiff devices
  invardiff devices --json

GPU backends are chosen when the program is built (`cargo build --features wgpu`, `vulkan`, `cuda`), devices when it
runs (--device, INVARDIFF_DEVICE).

--json prints one object: auto (what --device auto takes), backends (each with name, compiled and found), devices (each with
device as --device takes it, kind, model, memory_bytes, dtypes, and error where it does not compute).";

/// List the devices on which this program can compute
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// The whole output of the command.
#[derive(Debug, Serialize)]
struct Listing {
    auto: String,
    backends: Vec<Built>,
    devices: Vec<Row>,
}

/// A GPU backend.
#[derive(Debug, Serialize)]
struct Built {
    name: &'static str,
    compiled: bool,
    found: usize,
}

/// One device.
#[derive(Debug, Serialize)]
struct Row {
    device: String,
    kind: DeviceKind,
    model: Option<String>,
    memory_bytes: Option<u64>,
    dtypes: Vec<&'static str>,
    error: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written. A device that does not compute is a line of the table, not an error.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let found: Vec<(GpuBackend, Vec<Found>)> =
        GpuBackend::ALL.into_iter().map(|backend| (backend, backend.found())).collect();
    let built = |(backend, found): &(GpuBackend, Vec<Found>)| Built {
        name: backend.name(),
        compiled: backend.compiled(),
        found: found.len(),
    };
    let graphics = found.iter().flat_map(|(_, found)| found).map(Row::of);
    let listing = Listing {
        auto: DeviceChoice::Auto.open()?.choice().to_string(),
        backends: found.iter().map(built).collect(),
        devices: std::iter::once(Row::processor()).chain(graphics).collect(),
    };
    if args.json {
        say(serde_json::to_string_pretty(&listing)?)?;
    } else {
        say(listing)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Row {
    fn processor() -> Self {
        Self {
            device: DeviceChoice::Cpu.to_string(),
            kind: DeviceKind::Processor,
            model: None,
            memory_bytes: memory::of_machine(),
            dtypes: dtypes(&Device::flex()),
            error: None,
        }
    }

    /// Opens the device to find out whether it computes.
    fn of(found: &Found) -> Self {
        let opened = found.choice().open();
        let looked =
            opened.and_then(|device| Ok(caught(|| (device.model(), memory::of(found), dtypes(&device)))?));
        let (kind, device) = (found.kind, found.choice().to_string());
        match looked {
            Ok((model, memory_bytes, dtypes)) => {
                Self { device, kind, model, memory_bytes, dtypes, error: None }
            }
            Err(error) => {
                let error = Some(with_causes(&error));
                Self { device, kind, model: None, memory_bytes: None, dtypes: Vec::new(), error }
            }
        }
    }
}

fn dtypes(device: &Device) -> Vec<&'static str> {
    let has = |precision: &Dtype| device.supports_dtype(precision.burn());
    Dtype::ALL.into_iter().filter(has).map(Dtype::name).collect()
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.devices {
            let what = match &row.error {
                Some(error) => format!("does not compute: {error}"),
                None => row.dtypes.join(" "),
            };
            let memory = row.memory_bytes.map_or("memory unknown".into(), |bytes| {
                format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
            });
            let model = row.model.as_deref().map_or(String::new(), |model| format!("  {model}"));
            writeln!(f, "{:10} {:20} {memory:>14}  {what}{model}", row.device, row.kind.name())?;
        }
        for backend in &self.backends {
            match (backend.compiled, backend.found) {
                (false, _) => {
                    writeln!(f, "{0:10} not built in (cargo feature {0})", backend.name)?;
                }
                (true, 0) => {
                    writeln!(f, "{:10} built in, no device found", backend.name)?;
                }
                (true, _) => {}
            }
        }
        write!(f, "--device auto is {}", self.auto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_says_what_is_missing_and_what_fails() {
        let row = |device: &str, kind, error: Option<&str>| Row {
            device: device.into(),
            kind,
            model: Some("model of it".into()),
            memory_bytes: Some(3 << 29),
            dtypes: vec!["f32", "f16"],
            error: error.map(str::to_owned),
        };
        let built = |name, compiled, found| Built { name, compiled, found };
        let text = Listing {
            auto: "cpu".into(),
            backends: vec![built("cuda", true, 0), built("vulkan", false, 0), built("wgpu", true, 2)],
            devices: vec![
                row("wgpu:0", DeviceKind::Software, None),
                row("wgpu:1", DeviceKind::Other, Some("lost")),
            ],
        }
        .to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "wgpu:0     software renderer           1.5 GiB  f32 f16  model of it");
        assert!(lines[1].contains("does not compute: lost"), "{text}");
        assert_eq!(lines[2], "cuda       built in, no device found");
        assert_eq!(lines[3], "vulkan     not built in (cargo feature vulkan)");
        assert_eq!(lines[4..], ["--device auto is cpu"]);
    }
}
