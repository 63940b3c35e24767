//! Sampling without a plan.

use burn::tensor::{Device, Tensor};
use invardiff_runtime::{Denoiser, Policy, Sampler, sample_with};
use ndarray::Array4;

use super::facts::{ModelFacts, Subjects};
use crate::error::{Error, Result};

/// From noise and a condition to a sample, and from a sample to an image. `D` is the rank of the model's sample: 4 for DiT, 3 for
/// the packed latents of FLUX.
pub trait Sampling<const D: usize>: ModelFacts + Subjects {
    /// The network as it is sampled, with its guidance.
    type Model: Denoiser<D, Cond = Self::Cond> + Sync;

    /// What the network is conditioned on.
    type Cond: Clone + Send + Sync;

    /// The sampler.
    type Sampler: Sampler<D> + Sync;

    /// The network as it is sampled, with its guidance.
    fn denoiser(&self) -> &Self::Model;

    /// The sampler.
    fn sampler(&self) -> &Self::Sampler;

    /// The device.
    fn device(&self) -> &Device;

    /// The starting noise of one image a seed: an image depends on its seed alone, not on the batch it is in.
    ///
    /// # Shapes
    /// - result: the model's sample, `seeds` rows
    fn noise(&self, seeds: &[u64]) -> Tensor<D>;

    /// The condition of a batch, as this pipeline's network takes it.
    ///
    /// # Errors
    /// For a subject that the model does not know.
    fn condition(&self, subjects: &[Self::Subject]) -> Result<Self::Cond>;

    /// Samples as images, in `-1 ..= 1` (not clamped); samples that are latents and cannot be decoded as they are.
    ///
    /// # Shapes
    /// - result: `[images, channels, height, width]`
    ///
    /// # Errors
    /// When the device fails.
    fn images(&self, samples: Tensor<D>) -> Result<Array4<f32>>;

    /// Whether [`Sampling::images`] gives something to look at, and not latents.
    fn shows_images(&self) -> bool;

    /// The span of the sample's values, in which a PSNR of samples is given: 2 where it is not known.
    fn sample_span(&self) -> f64;

    /// [`Caching::generate`](crate::Caching::generate) under any policy, whatever is enabled, calling `progress` after every step.
    ///
    /// # Errors
    /// As [`Caching::generate`](crate::Caching::generate), and when a sampled value is NaN or infinite.
    fn generate_under<P: Policy>(
        &self,
        policy: &mut P,
        subjects: &[Self::Subject],
        seeds: &[u64],
        progress: &mut dyn FnMut(),
    ) -> Result<Tensor<D>> {
        let (asked, given) = (subjects.len(), seeds.len());
        if asked != given || asked == 0 {
            let problem =
                format!("{asked} subjects and {given} seeds: one seed per subject, and at least one");
            return Err(Error::Request(problem));
        }
        let (noise, cond) = (self.noise(seeds), self.condition(subjects)?);
        let samples =
            sample_with(self.denoiser(), self.sampler(), policy, noise, &cond, |_, _, _| progress());
        // One read-back a batch, of values that are read back next.
        let broken = samples.clone().is_finite().bool_not().float().sum().into_scalar::<f32>();
        if broken > 0.0 {
            return Err(Error::Model(format!(
                "{broken} of {} sampled values are NaN or infinite: the weights, a LoRA file or the element type ({}) of {} \
                 make them so",
                samples.shape().num_elements(),
                self.dtype().name(),
                self.name()
            )));
        }
        Ok(samples)
    }
}
