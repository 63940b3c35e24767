//! Arguments that several commands take, as clap reads them.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use invardiff::{DeviceChoice, Dtype, Error, OpenDevice, SamplerKind};

/// The flag `--device`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct DeviceArg {
    /// The device: auto, cpu, cuda, vulkan, wgpu, or the n-th of a kind as in cuda:1; `invardiff devices` lists them.
    /// auto takes a GPU where there is one, and never a software renderer
    #[arg(long = "device", env = "INVARDIFF_DEVICE", default_value = "auto", value_name = "DEVICE")]
    choice: DeviceChoice,
}

impl DeviceArg {
    /// Opens the device, and prints its notes to standard error.
    ///
    /// # Errors
    /// As [`DeviceChoice::open`].
    pub(crate) fn open(self) -> Result<OpenDevice, Error> {
        let device = self.choice.open()?;
        for note in device.notes() {
            crate::stdout::note(format_args!("note: {note}"));
        }
        Ok(device)
    }
}

/// Reads the name of an element type.
pub(crate) fn dtype() -> impl TypedValueParser<Value = Dtype> {
    let help = |dtype: Dtype| match dtype {
        Dtype::F32 => "32 bits",
        Dtype::F16 => "16 bits, with a small range",
        Dtype::Bf16 => "16 bits, with the range of 32; what FLUX was trained in",
    };
    let values = Dtype::ALL.map(|dtype| PossibleValue::new(dtype.name()).help(help(dtype)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Dtype>())
}

/// Reads the name of a sampler.
pub(crate) fn sampler() -> impl TypedValueParser<Value = SamplerKind> {
    let help = |kind: SamplerKind| match kind {
        SamplerKind::Ddim => "DDIM, respaced as the authors use it",
        SamplerKind::DpmSolverPlusPlus => "DPM-Solver++ 2M",
        SamplerKind::UniPc => "UniPC of order 2 (bh2)",
        SamplerKind::UniPc3 => "UniPC of order 3",
        SamplerKind::FlowMatchEuler => "Flow-match Euler, the sampler of FLUX",
    };
    let values = SamplerKind::ALL.map(|kind| PossibleValue::new(kind.name()).help(help(kind)));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<SamplerKind>())
}
