//! Seeded random weights, for benches and tests.

use std::convert::Infallible;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::Flux;
use super::config::FluxConfig;
use crate::dit::{ConfigError, Weights, uniform};

impl Flux {
    /// A FLUX transformer with random f32 weights, the same on every machine for the same seed. Activations keep a scale of
    /// about one.
    ///
    /// # Errors
    /// [`ConfigError::Field`] when the sizes do not fit together.
    pub fn random(config: &FluxConfig, seed: u64, device: &Device) -> Result<Self, ConfigError> {
        Self::random_as(config, seed, DType::F32, device)
    }

    /// [`Flux::random`] with the weights rounded to `dtype`, a float type of the device.
    ///
    /// # Errors
    /// As [`Flux::random`].
    pub fn random_as(
        config: &FluxConfig,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let Ok(flux) = Self::build(config, &mut Random { seed, dtype, device }, dtype, device);
        Ok(flux)
    }
}

struct Random<'a> {
    seed: u64,
    dtype: DType,
    device: &'a Device,
}

impl Weights for Random<'_> {
    type Error = Infallible;

    /// Uniform values; variance `1 / fan_in` for matrices, 0.01 for biases and, about one, for the scales of norms.
    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Infallible> {
        let (deviation, mean) = match (D, key.ends_with("_norm.scale")) {
            (1, scale) => (0.1, if scale { 1.0 } else { 0.0 }),
            _ => ((shape[D - 1] as f32).sqrt().recip(), 0.0),
        };
        let values = uniform(self.seed, key, shape.iter().product(), deviation);
        let values: Vec<f32> = values.map(|value| mean + value).collect();
        let data = TensorData::new(values, shape).convert_dtype(self.dtype);
        Ok(Tensor::from_data(data, (self.device, self.dtype)))
    }
}
