//! Element types of stored tensors, and their values.

mod blocks;
mod float8;

pub(super) use blocks::BlockType;

use burn::tensor::{DType, TensorData};

/// The element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// A type that tensors can have in memory.
    Plain(DType),
    /// 8 bits with 4 bits of exponent, without infinities (`float8_e4m3fn`).
    F8E4M3,
    /// 8 bits with 5 bits of exponent (`float8_e5m2`).
    F8E5M2,
    /// Blocks of GGUF files that share a scale.
    Block(BlockType),
    /// A type that cannot be read.
    Unknown(&'static str),
}

impl Element {
    /// The type's name, for errors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain(dtype) => dtype.name(),
            Self::F8E4M3 => "float8_e4m3fn",
            Self::F8E5M2 => "float8_e5m2",
            Self::Block(block) => block.name(),
            Self::Unknown(name) => name,
        }
    }

    /// Whether the elements are floats, plain or quantised, that can be read.
    pub(super) fn is_float(self) -> bool {
        match self {
            Self::Plain(dtype) => dtype.is_float(),
            Self::F8E4M3 | Self::F8E5M2 | Self::Block(_) => true,
            Self::Unknown(_) => false,
        }
    }

    /// Whether a weight has fewer bits than a half-precision float.
    pub(super) fn is_quantised(self) -> bool {
        match self {
            Self::Plain(_) | Self::Unknown(_) => false,
            Self::F8E4M3 | Self::F8E5M2 | Self::Block(_) => true,
        }
    }

    /// The values of stored bytes: plain types as they are, others in f32.
    pub(super) fn decode(self, bytes: Vec<u8>, shape: &[usize]) -> Result<TensorData, String> {
        let values = match self {
            Self::Plain(dtype) => {
                return TensorData::try_from_bytes_vec(bytes, shape.to_vec(), dtype)
                    .map_err(|error| error.to_string());
            }
            Self::F8E4M3 => float8::e4m3(&bytes),
            Self::F8E5M2 => float8::e5m2(&bytes),
            Self::Block(block) => block.decode(&bytes),
            Self::Unknown(name) => return Err(format!("elements of type {name} are not supported")),
        };
        let count: usize = shape.iter().product();
        if values.len() != count {
            return Err(format!("{} values are stored, shape {shape:?} has {count}", values.len()));
        }
        Ok(TensorData::new(values, shape.to_vec()))
    }
}
