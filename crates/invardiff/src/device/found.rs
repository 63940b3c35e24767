//! Devices that were found.

use burn::tensor::Device;
use serde::Serialize;

use super::backend::GpuBackend;
use super::choice::DeviceChoice;

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A graphics card with memory of its own.
    Discrete,
    /// Graphics in the processor.
    Integrated,
    /// A share of a card, given to a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A program on the processor that plays a graphics card: right, and slow.
    Software,
    /// The processor itself.
    Processor,
}

impl DeviceKind {
    /// The kind in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discrete => "graphics card",
            Self::Integrated => "integrated graphics",
            Self::Virtual => "virtual graphics card",
            Self::Other => "graphics device",
            Self::Software => "software renderer",
            Self::Processor => "processor",
        }
    }

    /// Whether it computes on the machine's processors: runs are then worth spreading over threads, and large shapes take
    /// very long.
    pub const fn is_processor(self) -> bool {
        match self {
            Self::Processor | Self::Software => true,
            Self::Discrete | Self::Integrated | Self::Virtual | Self::Other => false,
        }
    }
}

/// A device of this machine, not opened yet.
#[derive(Clone, Debug)]
pub struct Found {
    /// How it is reached.
    pub backend: GpuBackend,
    /// Its number there.
    pub index: usize,
    /// What it is.
    pub kind: DeviceKind,
    /// The handle.
    pub device: Device,
}

impl Found {
    /// The choice that opens it.
    pub fn choice(&self) -> DeviceChoice {
        DeviceChoice::Gpu { backend: self.backend, index: Some(self.index) }
    }
}
