//! The interface of a sampler.

use burn::tensor::Tensor;
use invardiff_plan::OutputForm;

use crate::error::RuntimeError;
use crate::samplers::marginal::Marginal;

/// A sampler over a fixed list of steps. It has no state; what a multistep solver remembers is a [`Sampler::History`] that
/// belongs to the trajectory.
pub trait Sampler<const D: usize> {
    /// The state along one trajectory, e.g. earlier predictions.
    type History;

    /// The sampler's name, as in the provenance of plans.
    fn name(&self) -> &'static str;

    /// Number of steps.
    fn steps(&self) -> usize;

    /// The time that the model is given at `step` (sampling order), in the model's unit.
    fn time(&self, step: usize) -> f32;

    /// The position of `step` on the sampler's own axis, along which values are extrapolated: half log-SNR, or sigma for flow
    /// matching.
    fn schedule_time(&self, step: usize) -> f64;

    /// The noise level at `step`.
    fn noise_level(&self, step: usize) -> Marginal;

    /// The form of the model's prediction.
    fn predicts(&self) -> OutputForm;

    /// The factor by which an error of the clean sample predicted at `step` enters the next sample: `alpha' - alpha sigma' /
    /// sigma` for a first-order step to the noise level `(alpha', sigma')`.
    fn output_weight(&self, step: usize) -> f64 {
        let level = self.noise_level(step);
        if step + 1 == self.steps() {
            return 1.0;
        }
        let next = self.noise_level(step + 1);
        next.alpha - level.alpha * next.sigma / level.sigma
    }

    /// The squared error of the final sample per unit of squared error of the clean sample predicted at `step`, for Gaussian
    /// data of variance `variance` (in the sample's unit): the exact sampler multiplies an error of the next sample by
    /// `sqrt(v / (v alpha'^2 + sigma'^2))` until the end. `variance` is that of the directions in which errors lie, which is
    /// well above the variance of single elements.
    fn error_importance(&self, step: usize, variance: f64) -> f64 {
        let weight = self.output_weight(step);
        if step + 1 == self.steps() {
            return weight * weight;
        }
        let next = self.noise_level(step + 1);
        weight * weight * variance / (variance * next.alpha * next.alpha + next.sigma * next.sigma)
    }

    /// Converts a prediction of the model at `x` to another form.
    ///
    /// # Shapes
    /// - `x`, `prediction`, result: the sample's
    fn to_form(&self, step: usize, x: Tensor<D>, prediction: Tensor<D>, form: OutputForm) -> Tensor<D> {
        self.noise_level(step).convert(x, prediction, self.predicts(), form)
    }

    /// Converts a value in `form` at `x` to the form that the model predicts.
    ///
    /// # Shapes
    /// - `x`, `value`, result: the sample's
    #[expect(clippy::wrong_self_convention, reason = "the counterpart of `to_form`; `self` is the sampler")]
    fn from_form(&self, step: usize, x: Tensor<D>, value: Tensor<D>, form: OutputForm) -> Tensor<D> {
        self.noise_level(step).convert(x, value, form, self.predicts())
    }

    /// The state before the first step.
    fn start(&self) -> Self::History;

    /// The sample after `step`, from the sample `x` before it and the model's prediction.
    ///
    /// # Shapes
    /// - `x`, `prediction`, result: the sample's
    fn advance(
        &self,
        history: &mut Self::History,
        step: usize,
        x: Tensor<D>,
        prediction: Tensor<D>,
    ) -> Tensor<D>;

    /// Checks that the sampler draws no noise of its own; otherwise features of consecutive steps are not comparable.
    ///
    /// # Errors
    /// [`RuntimeError::Stochastic`] with the reason, where it does.
    fn deterministic(&self) -> Result<(), RuntimeError> {
        Ok(())
    }
}
