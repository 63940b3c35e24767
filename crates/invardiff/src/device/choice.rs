//! A device by name.

use std::fmt;
use std::str::FromStr;

use super::backend::GpuBackend;

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
}
