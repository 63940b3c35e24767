//! Seeded random weights, for benches and tests.

use std::convert::Infallible;

use burn::tensor::{DType, Device, Tensor, TensorData};

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
        let fan_in: usize = shape[1..].iter().product();
        let (deviation, mean) = match D {
            1 => (0.1, if (self.is_norm)(key) { 1.0 } else { 0.0 }),
            _ => ((fan_in as f32).sqrt().recip(), 0.0),
        };
        let values = uniform(self.seed, key, shape.iter().product(), deviation);
        let values: Vec<f32> = values.map(|value| mean + value).collect();
        let data = TensorData::new(values, shape).convert_dtype(self.dtype);
        Ok(Tensor::from_data(data, (self.device, self.dtype)))
    }
}
