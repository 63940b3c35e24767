//! How to sample.

use crate::sampler::SamplerKind;

/// How to sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingOptions {
    /// The sampler.
    pub sampler: SamplerKind,
    /// Its number of steps.
    pub num_inference_steps: usize,
    /// Guidance scale; 1 is no guidance. `None` takes the model's own, or 4 (the authors' demonstration).
    pub guidance_scale: Option<f32>,
    /// Noise that DDIM adds at each step; anything but 0 can be neither calibrated nor replayed.
    pub eta: f64,
}

impl Default for SamplingOptions {
    /// DDIM-50 at the model's own guidance scale.
    fn default() -> Self {
        Self { sampler: SamplerKind::Ddim, num_inference_steps: 50, guidance_scale: None, eta: 0.0 }
    }
}
