//! Devices that were found.

use burn::tensor::Device;
use serde::Serialize;

use super::DeviceChoice;
use super::backend::GpuBackend;

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

/// Listing, where a backend is built in.
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
pub(super) mod list {
    use burn::tensor::{Device, DeviceType};

    use super::{DeviceKind, Found, GpuBackend};

    /// More cards of one kind than a machine has.
    #[cfg(feature = "wgpu")]
    const MOST: usize = 64;

    #[cfg(feature = "cuda")]
    pub(in crate::device) fn cuda() -> Vec<Found> {
        let devices = Device::enumerate(DeviceType::Cuda).into_iter();
        numbered(GpuBackend::Cuda, devices.map(|device| (DeviceKind::Discrete, device)).collect())
    }

    #[cfg(feature = "vulkan")]
    pub(in crate::device) fn vulkan() -> Vec<Found> {
        graphics(GpuBackend::Vulkan, DeviceType::Vulkan, Device::vulkan)
    }

    #[cfg(feature = "wgpu")]
    pub(in crate::device) fn wgpu() -> Vec<Found> {
        graphics(GpuBackend::Wgpu, DeviceType::Wgpu, Device::wgpu)
    }

    /// Devices by graphics interface. A handle does not say what it is, but it equals the one made for its kind and number.
    #[cfg(feature = "wgpu")]
    fn graphics(
        backend: GpuBackend,
        interface: DeviceType,
        make: fn(burn::tensor::DeviceKind) -> Device,
    ) -> Vec<Found> {
        use burn::tensor::DeviceKind as Selector;
        let kind = |device: &Device| {
            let is =
                |selector: fn(usize) -> Selector| (0..MOST).any(|index| *device == make(selector(index)));
            match device {
                device if *device == make(Selector::Cpu) => DeviceKind::Software,
                _ if is(Selector::DiscreteGpu) => DeviceKind::Discrete,
                _ if is(Selector::IntegratedGpu) => DeviceKind::Integrated,
                _ if is(Selector::VirtualGpu) => DeviceKind::Virtual,
                _ => DeviceKind::Other,
            }
        };
        let devices = Device::enumerate(interface).into_iter();
        numbered(backend, devices.map(|device| (kind(&device), device)).collect())
    }

    /// In order of their kinds, and as listed within one.
    fn numbered(backend: GpuBackend, mut devices: Vec<(DeviceKind, Device)>) -> Vec<Found> {
        devices.sort_by_key(|(kind, _)| *kind);
        let found = |(index, (kind, device))| Found { backend, index, kind, device };
        devices.into_iter().enumerate().map(found).collect()
    }
}
