//! Which device, and in which precision.

mod backend;
mod found;
pub mod memory;
mod open;

pub use backend::GpuBackend;
pub use found::{DeviceKind, Found};

pub use open::{OpenDevice, on_processor};

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::fault::with_causes;

/// Where to compute: `auto`, `cpu`, `wgpu`, `vulkan`, `cuda`, or the n-th of a kind as `wgpu:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// The first graphics card that works, CUDA before Vulkan before wgpu; the processor where there is none. Never a
    /// program that only plays a graphics card.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A graphics card, or a program that plays one.
    Gpu {
        /// How it is reached.
        backend: GpuBackend,
        /// Which one, in the order of `invardiff devices`; the first where none is said.
        index: Option<usize>,
    },
}

impl DeviceChoice {
    /// Opens the device and has it compute something small.
    ///
    /// # Errors
    /// When this program was built without the backend, the machine has no such device, or the device does not compute.
    pub fn open(self) -> Result<OpenDevice> {
        match self {
            Self::Auto => Ok(best()),
            Self::Cpu => Ok(OpenDevice::processor()),
            Self::Gpu { backend, index } => {
                let refuse =
                    |error| Error::setting("device", format_args!("{self}: {}", with_causes(&error)));
                pick(backend, index).and_then(OpenDevice::tried).map_err(refuse)
            }
        }
    }

    /// Every device that this program was built for and this machine has, the processor first.
    pub fn all() -> Vec<Self> {
        let found = GpuBackend::ALL.into_iter().flat_map(GpuBackend::found);
        std::iter::once(Self::Cpu).chain(found.map(|found| found.choice())).collect()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Cpu => f.pad("cpu"),
            Self::Gpu { backend, index: None } => f.pad(backend.name()),
            Self::Gpu { backend, index: Some(index) } => f.pad(&format!("{}:{index}", backend.name())),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            let names = GpuBackend::ALL.map(GpuBackend::name).join(", ");
            format!("there are auto, cpu, {names}, and the n-th of these as {}:1", GpuBackend::Wgpu.name())
        };
        let (name, index) = match text.split_once(':') {
            None => (text, None),
            Some((name, number)) => (name, Some(number.parse::<u16>().map_err(|_| unknown())?)),
        };
        match (name, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            (name, index) => {
                let backend = GpuBackend::ALL.into_iter().find(|backend| backend.name() == name);
                let backend = backend.ok_or_else(unknown)?;
                Ok(Self::Gpu { backend, index: index.map(usize::from) })
            }
        }
    }
}

/// The device that `auto` means here. A card that is there and does not compute is passed over, which the device notes.
fn best() -> OpenDevice {
    let mut notes = Vec::new();
    for backend in GpuBackend::BEST_FIRST {
        let Some(found) = backend.found().into_iter().find(|found| found.kind != DeviceKind::Software) else {
            continue;
        };
        let choice = found.choice();
        match OpenDevice::tried(found) {
            Ok(device) => return device.with_notes(notes),
            Err(error) => notes.push(format!("{choice} is passed over: {}", with_causes(&error))),
        }
    }
    OpenDevice::processor().with_notes(notes)
}

/// A device of a backend by its number.
fn pick(backend: GpuBackend, index: Option<usize>) -> Result<Found> {
    if !backend.compiled() {
        let problem = "this program was built without";
        return Err(Error::Device(format!(
            "{problem} {backend}; build it with `--features {backend}`, or take cpu"
        )));
    }
    let mut found = backend.found();
    let (count, wanted) = (found.len(), index.unwrap_or(0));
    if count == 0 {
        return Err(Error::Device(format!("{}; `invardiff devices` lists what there is", backend.absent())));
    }
    if wanted >= count {
        let last = if count == 1 { String::new() } else { format!(" to {backend}:{}", count - 1) };
        return Err(Error::Device(format!(
            "the machine has {backend}:0{last} only; `invardiff devices` lists what there is"
        )));
    }
    Ok(found.swap_remove(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_is_written() {
        for text in ["auto", "cpu", "wgpu", "wgpu:0", "vulkan:2", "cuda", "cuda:7"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        for text in
            ["", "gpu", "cpu:0", "auto:1", "cuda:", "cuda:x", "cuda:-1", "wgpu:1:2", "WGPU", "wgpu:70000"]
        {
            let message = text.parse::<DeviceChoice>().unwrap_err();
            assert!(message.contains("auto, cpu, cuda, vulkan, wgpu"), "{text}: {message}");
        }
    }

    #[test]
    fn auto_is_never_a_software_renderer() {
        let device = DeviceChoice::Auto.open().unwrap();
        assert_ne!(device.kind(), DeviceKind::Software);
        assert_ne!(device.choice(), DeviceChoice::Auto, "it says what it became");
    }

    #[test]
    fn what_is_not_there_is_one_error() {
        for backend in GpuBackend::ALL {
            let found = backend.found().len();
            let choice = DeviceChoice::Gpu { backend, index: Some(found) };
            let message = with_causes(&choice.open().err().unwrap());
            assert!(message.starts_with(&format!("device {choice}: ")), "{message}");
            let expected = if !backend.compiled() {
                "built without"
            } else if found == 0 {
                "no "
            } else {
                "only"
            };
            assert!(message.contains(expected), "{message}");
        }
    }
}
