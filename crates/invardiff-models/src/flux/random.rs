//! Seeded random weights, for benches and tests.

use burn::tensor::{DType, Device};

use super::Flux;
use super::config::FluxConfig;
use crate::dit::ConfigError;
use crate::random::{Drawn, Random};

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
        let mut weights = Random { seed, dtype, device, is_norm: &is_norm };
        let Ok(flux) = Self::build(config, &mut weights, device);
        Ok(flux)
    }

    /// [`Flux::random_as`] with the weights drawn on the device, which is quick at any size. They are those of the device's
    /// own generator: another device, another program or another thread draws others from the same seed.
    ///
    /// # Errors
    /// As [`Flux::random`].
    pub fn random_on_device(
        config: &FluxConfig,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        device.seed(seed);
        let Ok(flux) = Self::build(config, &mut Drawn { dtype, device, is_norm: &is_norm }, device);
        Ok(flux)
    }
}

fn is_norm(key: &str) -> bool {
    key.ends_with("_norm.scale")
}
