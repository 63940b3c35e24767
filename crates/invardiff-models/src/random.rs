//! Random weights, for benches and tests.

use std::convert::Infallible;

use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};

use crate::ConfigError;
use crate::nn::{Build, Init, Sizes, Weights};

/// A model with seeded random weights, rounded to `dtype`: the same on every machine for the same seed.
pub(crate) fn seeded<M: Build>(
    config: &M::Config,
    seed: u64,
    dtype: DType,
    device: &Device,
) -> Result<M, ConfigError> {
    config.validate()?;
    let init = |key: &str, shape: &[usize]| M::init(config, key, shape);
    let Ok(model) = M::build(config, &mut Seeded { seed, dtype, device, init: &init }, device);
    Ok(model)
}

/// [`seeded`] with the device's own generator, which is fast at any size. Another device, program or thread draws other
/// values from the same seed.
pub(crate) fn on_device<M: Build>(
    config: &M::Config,
    seed: u64,
    dtype: DType,
    device: &Device,
) -> Result<M, ConfigError> {
    config.validate()?;
    device.seed(seed);
    let init = |key: &str, shape: &[usize]| M::init(config, key, shape);
    let Ok(model) = M::build(config, &mut OnDevice { dtype, device, init: &init }, device);
    Ok(model)
}

/// Random weights that depend only on the seed and their names.
struct Seeded<'a> {
    seed: u64,
    dtype: DType,
    device: &'a Device,
    init: &'a dyn Fn(&str, &[usize]) -> Init,
}

impl Weights for Seeded<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        let values = match (self.init)(key, &shape) {
            Init::Values(values) => values,
            Init::Uniform { mean, deviation } => {
                let values = uniform(self.seed, key, shape.iter().product(), deviation);
                values.map(|value| mean + value).collect()
            }
        };
        Ok(given(values, shape, self.dtype, self.device))
    }
}

/// Random weights from the device's own generator.
struct OnDevice<'a> {
    dtype: DType,
    device: &'a Device,
    init: &'a dyn Fn(&str, &[usize]) -> Init,
}

impl Weights for OnDevice<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        Ok(match (self.init)(key, &shape) {
            Init::Values(values) => given(values, shape, self.dtype, self.device),
            Init::Uniform { mean, deviation } => {
                let bound = f64::from(3f32.sqrt() * deviation);
                let uniform = Distribution::Uniform(-bound, bound);
                let values = Tensor::<D>::random(shape, uniform, (self.device, DType::F32));
                (values + mean).cast(self.dtype)
            }
        })
    }
}

fn given<const D: usize>(values: Vec<f32>, shape: [usize; D], dtype: DType, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (device, dtype))
}

/// `count` uniform values about zero that depend on the seed and the weight's name alone.
fn uniform(seed: u64, key: &str, count: usize, deviation: f32) -> impl Iterator<Item = f32> {
    let width = 12f32.sqrt() * deviation;
    let start = key.bytes().fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)));
    (0..count as u64)
        .map(move |i| ((mix(start.wrapping_add(i)) >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * width)
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014) at a counter.
fn mix(counter: u64) -> u64 {
    let z = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
