//! Which device.

use burn::tensor::Device;

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// The best device that this program was built for; today the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
}

impl DeviceChoice {
    /// The device.
    pub fn open(self) -> Device {
        match self {
            Self::Auto | Self::Cpu => Device::flex(),
        }
    }
}
