//! Floats of 8 bits.

use float8::{F8E4M3, F8E5M2};

/// The values of `float8_e4m3fn`.
pub(super) fn e4m3(bytes: &[u8]) -> Vec<f32> {
    decode(bytes, |byte| F8E4M3::from_bits(byte).to_f32())
}

/// The values of `float8_e5m2`.
pub(super) fn e5m2(bytes: &[u8]) -> Vec<f32> {
    decode(bytes, |byte| F8E5M2::from_bits(byte).to_f32())
}

fn decode(bytes: &[u8], value: impl Fn(u8) -> f32) -> Vec<f32> {
    let table: [f32; 256] = std::array::from_fn(|byte| value(byte as u8));
    bytes.iter().map(|byte| table[usize::from(*byte)]).collect()
}
