//! What devices a backend has.

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
use burn::tensor::{Device, DeviceType};

use super::backend::GpuBackend;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
use super::found::DeviceKind;
use super::found::Found;

impl GpuBackend {
    /// The devices of this machine, real cards first, software renderers last; none where the backend is not built in or
    /// its driver is missing. Opens none of them.
    pub fn found(self) -> Vec<Found> {
        match self {
            #[cfg(feature = "cuda")]
            Self::Cuda => cuda(),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => vulkan(),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => wgpu(),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => Vec::new(),
            #[cfg(not(feature = "vulkan"))]
            Self::Vulkan => Vec::new(),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => Vec::new(),
        }
    }
}

/// More cards of one kind than a machine has.
#[cfg(feature = "wgpu")]
const MOST: usize = 64;

#[cfg(feature = "cuda")]
fn cuda() -> Vec<Found> {
    let devices = Device::enumerate(DeviceType::Cuda).into_iter();
    numbered(GpuBackend::Cuda, devices.map(|device| (DeviceKind::Discrete, device)).collect())
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Vec<Found> {
    graphics(GpuBackend::Vulkan, DeviceType::Vulkan, Device::vulkan)
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Vec<Found> {
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
        let is = |selector: fn(usize) -> Selector| (0..MOST).any(|index| *device == make(selector(index)));
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
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
fn numbered(backend: GpuBackend, mut devices: Vec<(DeviceKind, Device)>) -> Vec<Found> {
    devices.sort_by_key(|(kind, _)| *kind);
    let found = |(index, (kind, device))| Found { backend, index, kind, device };
    devices.into_iter().enumerate().map(found).collect()
}
