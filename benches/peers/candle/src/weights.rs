//! Weights that follow from their names.

use candle_core::{Device, Result, Tensor};
use candle_nn::Linear;

/// Uniform values: variance `1 / fan_in` for matrices, 0.01 for biases, 1 for the class table.
pub fn drawn(name: &str, shape: &[usize]) -> Result<Tensor> {
    let fan_in: usize = shape[1..].iter().product();
    let deviation = match shape.len() {
        _ if name.starts_with("y_embedder") => 1.0,
        1 => 0.1,
        _ => (fan_in as f32).sqrt().recip(),
    };
    let start = name.bytes().fold(mixed(1), |state, byte| mixed(state ^ u64::from(byte)));
    let reach = 12f32.sqrt() * deviation;
    let values: Vec<f32> = (0..shape.iter().product::<usize>() as u64)
        .map(|i| ((mixed(start.wrapping_add(i)) >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * reach)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// A linear map of this name.
pub fn linear(name: &str, from: usize, to: usize) -> Result<Linear> {
    let weight = drawn(&format!("{name}.weight"), &[to, from])?;
    Ok(Linear::new(weight, Some(drawn(&format!("{name}.bias"), &[to])?)))
}

/// The output function of SplitMix64 at a counter.
fn mixed(counter: u64) -> u64 {
    let z = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
