//! Numbers that are not finite.

use burn::tensor::{DType, TensorData};

/// The index of the first value that is NaN or infinite.
pub(super) fn first_bad(data: &TensorData) -> Option<usize> {
    let bytes = data.as_bytes();
    // All bits of the exponent are set in NaN and infinity, and in no other number.
    let halves =
        |mask: u16| bytes.as_chunks().0.iter().position(|bytes| u16::from_le_bytes(*bytes) & mask == mask);
    match data.dtype() {
        DType::BF16 => halves(0x7f80),
        DType::F16 => halves(0x7c00),
        DType::F32 | DType::Flex32 => {
            bytes.as_chunks().0.iter().position(|bytes| !f32::from_le_bytes(*bytes).is_finite())
        }
        DType::F64 => bytes.as_chunks().0.iter().position(|bytes| !f64::from_le_bytes(*bytes).is_finite()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_that_is_not_finite_is_found_in_every_type() {
        let data = |bad: f32| TensorData::new(vec![0.5, -65504.0, bad, f32::NAN], [4]);
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                assert_eq!(first_bad(&data(bad).convert_dtype(dtype)), Some(2), "{dtype:?}");
            }
            assert_eq!(first_bad(&data(1.0).convert_dtype(dtype)), Some(3), "{dtype:?}");
        }
        assert_eq!(first_bad(&data(7e4).convert_dtype(DType::F16)), Some(2), "overflow of f16");
    }
}
