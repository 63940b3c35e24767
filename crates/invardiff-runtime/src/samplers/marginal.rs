//! Noise level of one step, and the three forms of a prediction at it.

use burn::tensor::Tensor;
use invardiff_plan::OutputForm;

/// The path from clean sample to noise; a velocity is its derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbabilityPath {
    /// `alpha^2 + sigma^2 = 1`, and `v = alpha eps - sigma x0` (Salimans and Ho 2022).
    VariancePreserving,
    /// `alpha + sigma = 1`, and `v = eps - x0` (flow matching).
    Straight,
}

/// The noise level of one step: `x = alpha x0 + sigma eps`.
///
/// With `x` given, clean sample, noise and velocity follow from each other, so a prediction can be converted between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marginal {
    /// The weight of the clean sample.
    pub alpha: f64,
    /// The weight of the noise.
    pub sigma: f64,
    /// The path that it lies on.
    pub path: ProbabilityPath,
}

impl Marginal {
    /// The level with `ab = alpha^2` on a variance-preserving path.
    pub fn variance_preserving(alpha_cumprod: f64) -> Self {
        let (alpha, sigma) = (alpha_cumprod.sqrt(), (1.0 - alpha_cumprod).sqrt());
        Self { alpha, sigma, path: ProbabilityPath::VariancePreserving }
    }

    /// The level `sigma` on a straight path.
    pub fn straight(sigma: f64) -> Self {
        Self { alpha: 1.0 - sigma, sigma, path: ProbabilityPath::Straight }
    }

    /// `ln(alpha / sigma)`, half the logarithm of the signal-to-noise ratio.
    pub fn half_log_snr(&self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// `(a, b)` such that `to = a * x + b * from`.
    ///
    /// Not finite where `from` does not determine `to`: noise cannot be converted to a clean sample at `alpha = 0` (the first
    /// step of a flow), nor a clean sample to noise at `sigma = 0`.
    pub fn weights(&self, from: OutputForm, to: OutputForm) -> (f64, f64) {
        if from == to {
            return (0.0, 1.0);
        }
        let ((p, q), (r, s)) = (self.row(from), self.row(to));
        let determinant = self.alpha * q - self.sigma * p;
        ((r * q - s * p) / determinant, (self.alpha * s - self.sigma * r) / determinant)
    }

    /// Converts a prediction at `x` from one form to another. From a form to itself, it is returned unchanged, bit for bit.
    ///
    /// # Shapes
    /// - `x`, `value`, result: the sample's
    pub fn convert<const D: usize>(
        &self,
        x: Tensor<D>,
        value: Tensor<D>,
        from: OutputForm,
        to: OutputForm,
    ) -> Tensor<D> {
        if from == to {
            return value;
        }
        let (a, b) = self.weights(from, to);
        x * a as f32 + value * b as f32
    }

    /// The weights of `x0` and `eps` in a form.
    fn row(&self, form: OutputForm) -> (f64, f64) {
        match (form, self.path) {
            (OutputForm::X0, _) => (1.0, 0.0),
            (OutputForm::Epsilon, _) => (0.0, 1.0),
            (OutputForm::Velocity, ProbabilityPath::VariancePreserving) => (-self.sigma, self.alpha),
            (OutputForm::Velocity, ProbabilityPath::Straight) => (-1.0, 1.0),
        }
    }
}
