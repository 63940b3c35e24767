//! Seeded random weights, for benches and tests.

use std::convert::Infallible;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::config::{ConfigError, DitConfig};
use super::embed::position_table;
use super::{Dit, Weights};
use crate::random::uniform_on_device;

impl Dit {
    /// A DiT with random weights, the same on every machine for the same seed. Unlike a fresh DiT (whose adaLN starts at
    /// zero and makes every block the identity) every module acts; activations keep a scale of about one.
    ///
    /// # Errors
    /// [`ConfigError::Field`] when the sizes do not fit together.
    pub fn random(config: &DitConfig, seed: u64, device: &Device) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut weights = Random { config, seed, device };
        let Ok(dit) = Self::build(config, &mut weights, device);
        Ok(dit)
    }

    /// [`Dit::random`] with the weights drawn on the device, which is quick at any size. They are those of the device's own
    /// generator: another device, another program or another thread draws others from the same seed.
    ///
    /// # Errors
    /// As [`Dit::random`].
    pub fn random_on_device(
        config: &DitConfig,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        device.seed(seed);
        let Ok(dit) = Self::build(config, &mut Drawn { config, dtype, device }, device);
        Ok(dit)
    }
}

struct Random<'a> {
    config: &'a DitConfig,
    seed: u64,
    device: &'a Device,
}

impl Weights for Random<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        let values = match key {
            "pos_embed" => position_table(self.config),
            _ => self.draw(key, &shape),
        };
        Ok(Tensor::from_data(TensorData::new(values, shape), (self.device, DType::F32)))
    }
}

impl Random<'_> {
    fn draw(&self, key: &str, shape: &[usize]) -> Vec<f32> {
        uniform(self.seed, key, shape.iter().product(), deviation(key, shape)).collect()
    }
}

struct Drawn<'a> {
    config: &'a DitConfig,
    dtype: DType,
    device: &'a Device,
}

impl Weights for Drawn<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        if key == "pos_embed" {
            let table = TensorData::new(position_table(self.config), shape).convert_dtype(self.dtype);
            return Ok(Tensor::from_data(table, (self.device, self.dtype)));
        }
        Ok(uniform_on_device(shape, deviation(key, &shape), self.device).cast(self.dtype))
    }
}

/// The standard deviation of a weight: variance `1 / fan_in` for matrices, 0.01 for biases, 1 for the class table.
fn deviation(key: &str, shape: &[usize]) -> f32 {
    let fan_in: usize = shape[1..].iter().product();
    match (key, shape.len()) {
        ("y_embedder.embedding_table.weight", _) => 1.0,
        (_, 1) => 0.1,
        _ => (fan_in as f32).sqrt().recip(),
    }
}

/// `count` uniform values about zero that depend on the seed and the weight's name alone.
pub(crate) fn uniform(seed: u64, key: &str, count: usize, deviation: f32) -> impl Iterator<Item = f32> {
    let reach = 12f32.sqrt() * deviation;
    let start = key.bytes().fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)));
    (0..count as u64)
        .map(move |i| ((mix(start.wrapping_add(i)) >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * reach)
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014) at a counter.
fn mix(counter: u64) -> u64 {
    let z = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
