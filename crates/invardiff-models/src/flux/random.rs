//! FLUX transformers with random weights, for benches and tests.

use burn::tensor::{DType, Device};

use super::Flux;
use super::config::FluxConfig;
use crate::{ConfigError, random};

impl Flux {
    /// A FLUX transformer with seeded random f32 weights, the same on every machine for the same seed. Activations keep a
    /// scale of about one.
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
        random::seeded(config, seed, dtype, device)
    }

    /// [`Flux::random_as`] with the device's own generator, which is fast at any size. Another device, program or thread
    /// draws other values from the same seed.
    ///
    /// # Errors
    /// As [`Flux::random`].
    pub fn random_on_device(
        config: &FluxConfig,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        random::on_device(config, seed, dtype, device)
    }
}
