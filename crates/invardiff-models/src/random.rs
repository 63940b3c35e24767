//! Seeded random weights, for benches and tests.

use std::convert::Infallible;

use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};

use crate::dit::{Weights, uniform};

/// Uniform values that keep activations at a scale of about one: variance `1 / fan_in` for matrices and convolutions, 0.01
/// for biases and, about one, for the scales of norms.
pub(crate) struct Random<'a> {
    pub(crate) seed: u64,
    pub(crate) dtype: DType,
    pub(crate) device: &'a Device,
    /// Whether a weight of this name is the scale of a norm.
    pub(crate) is_norm: &'a dyn Fn(&str) -> bool,
}

impl Weights for Random<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        let (deviation, mean) = spread(&shape, (self.is_norm)(key));
        let values = uniform(self.seed, key, shape.iter().product(), deviation);
        let values: Vec<f32> = values.map(|value| mean + value).collect();
        let data = TensorData::new(values, shape).convert_dtype(self.dtype);
        Ok(Tensor::from_data(data, (self.device, self.dtype)))
    }
}

/// The same spread, drawn by the device's own generator.
pub(crate) struct Drawn<'a> {
    pub(crate) dtype: DType,
    pub(crate) device: &'a Device,
    /// Whether a weight of this name is the scale of a norm.
    pub(crate) is_norm: &'a dyn Fn(&str) -> bool,
}

impl Weights for Drawn<'_> {
    type Error = Infallible;

    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        let (deviation, mean) = spread(&shape, (self.is_norm)(key));
        Ok((uniform_on_device(shape, deviation, self.device) + mean).cast(self.dtype))
    }
}

/// Standard deviation and mean of a weight.
fn spread(shape: &[usize], is_norm: bool) -> (f32, f32) {
    let fan_in: usize = shape[1..].iter().product();
    match shape.len() {
        1 => (0.1, if is_norm { 1.0 } else { 0.0 }),
        _ => ((fan_in as f32).sqrt().recip(), 0.0),
    }
}

/// Uniform values about zero from the device's own generator, f32.
pub(crate) fn uniform_on_device<const D: usize>(
    shape: [usize; D],
    deviation: f32,
    device: &Device,
) -> Tensor<D> {
    let reach = f64::from(3f32.sqrt() * deviation);
    Tensor::random(shape, Distribution::Uniform(-reach, reach), (device, DType::F32))
}
