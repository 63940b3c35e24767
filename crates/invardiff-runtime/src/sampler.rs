//! Samplers: what a step does with a prediction.

use burn::tensor::Tensor;

use crate::RuntimeError;

/// A sampler over a fixed list of steps. A value without state: what a multistep solver remembers is a
/// [`Sampler::History`] that the trajectory owns.
pub trait Sampler<const D: usize> {
    /// What the sampler remembers along one trajectory.
    type History;

    /// The sampler's name, as plans record it.
    fn name(&self) -> &'static str;

    /// Number of steps.
    fn steps(&self) -> usize;

    /// The time given to the model at `step` (sampling order).
    fn time(&self, step: usize) -> f32;

    /// The sampler's own time at `step`, the axis of extrapolated reuse: half log-SNR, or sigma for flow matching.
    fn own_time(&self, step: usize) -> f64;

    /// The history before the first step.
    fn start(&self) -> Self::History;

    /// The sample after `step`, from the sample before it and the model's prediction at it.
    fn advance(
        &self,
        history: &mut Self::History,
        step: usize,
        x: Tensor<D>,
        prediction: Tensor<D>,
    ) -> Tensor<D>;

    /// Refuses samplers that draw noise as they go: their features cannot be compared between runs.
    ///
    /// # Errors
    /// [`RuntimeError::Stochastic`] with the reason.
    fn deterministic(&self) -> Result<(), RuntimeError> {
        Ok(())
    }
}
