//! The ways to a graphics card.

use std::fmt;

/// How a graphics card is reached. Each is a cargo feature of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GpuBackend {
    /// NVIDIA's own interface.
    Cuda,
    /// Vulkan, with kernels in SPIR-V.
    Vulkan,
    /// The best graphics interface of the machine (Vulkan, Metal, Direct3D 12), with kernels in WGSL.
    Wgpu,
}

impl GpuBackend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cuda, Self::Vulkan, Self::Wgpu];

    /// All of them, the one that is fastest where it works first.
    pub(super) const BEST_FIRST: [Self; 3] = [Self::Cuda, Self::Vulkan, Self::Wgpu];

    /// The name, also of the cargo feature and in [`DeviceChoice`](crate::DeviceChoice).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
        }
    }

    /// Whether this program was built with it.
    pub const fn compiled(self) -> bool {
        match self {
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Wgpu => cfg!(feature = "wgpu"),
        }
    }

    /// What it means that none was found.
    pub const fn absent(self) -> &'static str {
        match self {
            Self::Cuda => "no CUDA device was found: NVIDIA's driver (libcuda) is missing, or it has no card",
            Self::Vulkan => {
                "no Vulkan device was found: neither a card's driver nor a software renderer is installed"
            }
            Self::Wgpu => {
                "no graphics device was found: neither a card's driver nor a software renderer is installed"
            }
        }
    }
}

impl fmt::Display for GpuBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
