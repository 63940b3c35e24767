//! In which type weights are kept.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{DType, Device};

use crate::error::{Error, Result};

/// The element type of weights and features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, with a small range.
    F16,
    /// 16 bits, with the range of 32; what FLUX was trained in.
    Bf16,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// The name that plans record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// The tensor library's name for it.
    pub const fn burn(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }

    /// That of a model's weights, which are of one of these types.
    pub(crate) fn of(dtype: DType) -> Self {
        Self::ALL.into_iter().find(|known| known.burn() == dtype).unwrap_or_default()
    }

    /// Refuses a type that the device does not compute in.
    ///
    /// # Errors
    /// Names the types that it has.
    pub fn check(self, device: &Device) -> Result<()> {
        let has = |dtype: &Self| device.supports_dtype(dtype.burn());
        if has(&self) {
            return Ok(());
        }
        let others: Vec<_> = Self::ALL.into_iter().filter(has).map(Self::name).collect();
        let (name, others) = (self.name(), others.join(", "));
        Err(Error::setting(
            "dtype",
            format_args!("{name}: the device does not compute in it; it has {others}"),
        ))
    }

    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The type for text encoders: T5 leaves the range of f16.
    pub(crate) const fn of_text(self) -> Self {
        match self {
            Self::F32 => Self::F32,
            Self::F16 | Self::Bf16 => Self::Bf16,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|dtype| dtype.name() == text);
        found.ok_or_else(|| format!("there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}
