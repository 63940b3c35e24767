//! Seeded Gaussian noise.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, StandardNormal};

/// Standard normal noise from a seed. It is drawn on the host, so it is the same on every device, and does not depend on any
/// other random numbers in the process.
#[derive(Clone, Debug)]
pub struct GaussianNoise {
    rng: Xoshiro256PlusPlus,
}

impl GaussianNoise {
    /// The noise of this seed.
    pub fn seeded(seed: u64) -> Self {
        Self { rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Draws the next tensor, in f32.
    ///
    /// # Shapes
    /// - result: `shape`
    pub fn draw<const D: usize>(&mut self, shape: [usize; D], device: &Device) -> Tensor<D> {
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|_| StandardNormal.sample(&mut self.rng)).collect();
        Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
    }
}
