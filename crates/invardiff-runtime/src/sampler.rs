//! Samplers: what a step does with a prediction.

use burn::tensor::Tensor;
use invardiff_plan::OutputForm;

use crate::error::RuntimeError;
use crate::samplers::marginal::Marginal;

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
    fn schedule_time(&self, step: usize) -> f64;

    /// The noise level at `step`; it converts predictions made there.
    fn noise_level(&self, step: usize) -> Marginal;

    /// What the model predicts.
    fn predicts(&self) -> OutputForm;

    /// How much of an error in the clean sample predicted at `step` enters the next sample:
    /// `alpha' - alpha sigma' / sigma` of a first-order step to the next noise level `(alpha', sigma')`.
    fn output_weight(&self, step: usize) -> f64 {
        let level = self.noise_level(step);
        if step + 1 == self.steps() {
            return 1.0;
        }
        let next = self.noise_level(step + 1);
        next.alpha - level.alpha * next.sigma / level.sigma
    }

    /// The squared error of the final sample that a unit squared error of the clean sample predicted at `step` makes, on
    /// Gaussian data of variance `variance` (in the sample's own units): there the exact sampler carries an error of the
    /// next sample to the end times `sqrt(v / (v alpha'^2 + sigma'^2))`. The variance that counts is that of the directions
    /// in which errors live, well above that of a single element.
    fn error_importance(&self, step: usize, variance: f64) -> f64 {
        let weight = self.output_weight(step);
        if step + 1 == self.steps() {
            return weight * weight;
        }
        let next = self.noise_level(step + 1);
        weight * weight * variance / (variance * next.alpha * next.alpha + next.sigma * next.sigma)
    }

    /// The model's prediction at `x` in another form.
    fn to_form(&self, step: usize, x: Tensor<D>, prediction: Tensor<D>, form: OutputForm) -> Tensor<D> {
        self.noise_level(step).convert(x, prediction, self.predicts(), form)
    }

    /// The prediction that a value in `form` means at `x`.
    #[expect(clippy::wrong_self_convention, reason = "the counterpart of `to_form`; `self` is the sampler")]
    fn from_form(&self, step: usize, x: Tensor<D>, value: Tensor<D>, form: OutputForm) -> Tensor<D> {
        self.noise_level(step).convert(x, value, form, self.predicts())
    }

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
