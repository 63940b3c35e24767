//! DiTs with random weights, for benches and tests.

use burn::tensor::{DType, Device};

use super::Dit;
use super::config::DitConfig;
use crate::{ConfigError, random};

impl Dit {
    /// A DiT with seeded random f32 weights, the same on every machine for the same seed. Unlike a freshly initialised DiT
    /// (adaLN-Zero makes every block the identity) every module has an effect; activations keep a scale of about one.
    ///
    /// # Errors
    /// [`ConfigError::Field`] when the sizes do not fit together.
    pub fn random(config: &DitConfig, seed: u64, device: &Device) -> Result<Self, ConfigError> {
        random::seeded(config, seed, DType::F32, device)
    }

    /// [`Dit::random`] with weights of type `dtype` from the device's own generator, which is fast at any size. Another
    /// device, program or thread draws other values from the same seed.
    ///
    /// # Errors
    /// As [`Dit::random`].
    pub fn random_on_device(
        config: &DitConfig,
        seed: u64,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        random::on_device(config, seed, dtype, device)
    }
}
