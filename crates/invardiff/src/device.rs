//! Which device, and in which precision.

mod backend;
mod choice;
mod found;
mod list;
pub mod memory;
mod open;

pub use backend::GpuBackend;
pub use choice::DeviceChoice;
pub use found::{DeviceKind, Found};
pub use open::{OpenDevice, on_processor};

use crate::error::{Error, Result};
use crate::fault::with_causes;

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
