//! First-order steps on the clean sample, over any noise levels.

use burn::tensor::Tensor;
use invardiff_plan::OutputForm;
use invardiff_plan::core::{TimeGrid, TimePoint};

use crate::sampler::Sampler;
use crate::samplers::marginal::{Marginal, ProbabilityPath};

/// From one noise level to the next, `x' = (sigma' / sigma) x + (alpha' - alpha sigma' / sigma) x0`, and from the last to the
/// clean sample: DDIM on a variance-preserving path, flow-match Euler on a straight one. The steps of a plan with times of
/// its own.
#[derive(Clone, Debug)]
pub struct FirstOrder {
    points: Vec<TimePoint>,
    path: ProbabilityPath,
    prediction: OutputForm,
}

impl FirstOrder {
    /// Steps over the points of `grid` for the model and path of `sampler`.
    pub fn new<const D: usize, S: Sampler<D>>(grid: &TimeGrid, sampler: &S) -> Self {
        let (path, prediction) = (sampler.noise_level(0).path, sampler.predicts());
        Self { points: grid.points.clone(), path, prediction }
    }

    /// Weights of the sample and of the clean sample in the sample after `step`.
    pub fn weights(&self, step: usize) -> (f64, f64) {
        let here = self.points[step];
        match self.points.get(step + 1) {
            None => (0.0, 1.0),
            Some(next) => {
                let ratio = next.sigma / here.sigma;
                (ratio, next.alpha - here.alpha * ratio)
            }
        }
    }

    fn level(&self, step: usize) -> Marginal {
        let TimePoint { alpha, sigma, .. } = self.points[step];
        Marginal { alpha, sigma, path: self.path }
    }
}

impl<const D: usize> Sampler<D> for FirstOrder {
    type History = ();

    fn name(&self) -> &'static str {
        "first-order"
    }

    fn steps(&self) -> usize {
        self.points.len()
    }

    fn time(&self, step: usize) -> f32 {
        self.points[step].time
    }

    /// Half log-SNR, or sigma on a straight path.
    fn schedule_time(&self, step: usize) -> f64 {
        match self.path {
            ProbabilityPath::VariancePreserving => self.level(step).half_log_snr(),
            ProbabilityPath::Straight => self.points[step].sigma,
        }
    }

    fn noise_level(&self, step: usize) -> Marginal {
        self.level(step)
    }

    fn predicts(&self) -> OutputForm {
        self.prediction
    }

    fn start(&self) {}

    fn advance(&self, (): &mut (), step: usize, x: Tensor<D>, prediction: Tensor<D>) -> Tensor<D> {
        let x0 = self.level(step).convert(x.clone(), prediction, self.prediction, OutputForm::X0);
        let (of_x, of_x0) = self.weights(step);
        x * of_x as f32 + x0 * of_x0 as f32
    }
}
