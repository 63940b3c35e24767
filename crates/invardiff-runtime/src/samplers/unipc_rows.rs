//! UniPC as weights of the last outputs.

use invardiff_plan::OutputForm;
use invardiff_plan::core::{TimePoint, WeightRow};

use crate::error::RuntimeError;
use crate::samplers::marginal::{Marginal, ProbabilityPath};
use crate::samplers::unipc::UniPc;

impl UniPc {
    /// The solver of `order` over any noise levels as one row of weights a step: the sum of clean samples, the newest first, that
    /// [`FirstOrder`](crate::FirstOrder) goes on with. The corrected sample is the sample itself plus a weighted sum of the same
    /// outputs, so the corrector is a part of the row, and a row has one weight more than the order.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] for another order than 1 to 3.
    pub fn rows(points: &[TimePoint], order: usize) -> Result<Vec<WeightRow>, RuntimeError> {
        // Pure noise has no log-SNR: it counts as a little less, as in `UniPc::from_sigmas`.
        let level = |point: &TimePoint| {
            let TimePoint { alpha, sigma, .. } = *point;
            let path = ProbabilityPath::Straight;
            if alpha > 0.0 { Marginal { alpha, sigma, path } } else { Marginal::straight(1.0 - 1e-6) }
        };
        let levels = points.iter().map(level).collect();
        let times = points.iter().map(|point| point.time).collect();
        let solver = Self::over(times, levels, OutputForm::X0, order)?;
        let mut before: Option<Vec<f64>> = None;
        let rows = (0..points.len()).map(|step| {
            let predicted = solver.predictor(step, solver.order_at(step, step));
            let mut kept = predicted.clone();
            if let (Some(before), Some(share)) = (&before, solver.carried(step)) {
                let mut corrected = solver.corrector(step, solver.order_at(step - 1, step - 1));
                corrected.iter_mut().skip(1).zip(before).for_each(|(weight, before)| *weight -= before);
                kept.resize(kept.len().max(corrected.len()), 0.0);
                kept.iter_mut().zip(corrected).for_each(|(weight, change)| *weight += share * change);
            }
            before = Some(predicted);
            WeightRow { kept, sample: 0.0 }
        });
        Ok(rows.collect())
    }

    /// How much of a change of the clean sample that entered at the step before `step` counts at `step`; `None` for the last step,
    /// which forgets its sample.
    fn carried(&self, step: usize) -> Option<f64> {
        let before = self.levels[step.checked_sub(1)?];
        let (here, next) = (self.levels[step], self.levels.get(step + 1)?);
        let weight = |from: Marginal, to: Marginal| to.alpha - from.alpha * to.sigma / from.sigma;
        Some(next.sigma / here.sigma * weight(before, here) / weight(here, *next))
    }

    /// Weights of the outputs of `step` and the steps before in the prediction of the next sample.
    fn predictor(&self, step: usize, order: usize) -> Vec<f64> {
        let changes = self.ahead(step, order);
        std::iter::once(1.0 - changes.iter().sum::<f64>()).chain(changes).collect()
    }

    /// Weights of the outputs of `step` and the steps before in the corrected sample at `step`, from the step before.
    fn corrector(&self, step: usize, order: usize) -> Vec<f64> {
        let mut changes = self.again(step, order);
        let newest = 1.0 - changes.iter().sum::<f64>();
        let fresh = changes.pop().unwrap_or_default();
        [fresh, newest].into_iter().chain(changes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::noise_schedule::NoiseSchedule;
    use crate::{FirstOrder, Sampler};
    use burn::tensor::{Device, Tensor};
    use invardiff_plan::core::TimeGrid;

    /// A curved made-up network: the clean sample for a sample at a step.
    fn network(x: Tensor<2>, step: usize) -> Tensor<2> {
        (x * (0.7 - 0.03 * step as f32)).sin() + 0.02 * step as f32
    }

    #[test]
    fn rows_and_the_solver_are_the_same_run() {
        let schedule = NoiseSchedule::dit();
        let timesteps = [999, 950, 801, 640, 444, 300, 120, 30, 8];
        for order in 1..=3 {
            let solver = UniPc::from_timesteps(&schedule, &timesteps, OutputForm::X0, order).unwrap();
            let point = |step: usize| {
                let level = Sampler::<2>::noise_level(&solver, step);
                TimePoint { time: Sampler::<2>::time(&solver, step), alpha: level.alpha, sigma: level.sigma }
            };
            let points: Vec<TimePoint> = (0..timesteps.len()).map(point).collect();
            let rows = UniPc::rows(&points, order).unwrap();
            let stepper = FirstOrder::new::<2, _>(&TimeGrid { instead_of: 9, points }, &solver);
            let noise = Tensor::<2>::from_floats([[0.3, -1.2, 2.0], [1.1, 0.4, -0.7]], &Device::flex());
            let (mut own, mut other, mut kept) = (noise.clone(), noise, Vec::new());
            let mut history = Sampler::<2>::start(&solver);
            for (step, row) in rows.iter().enumerate() {
                own = solver.advance(&mut history, step, own.clone(), network(own, step));
                kept.insert(0, network(other.clone(), step));
                let blend = row.kept.iter().zip(&kept).map(|(weight, value)| value.clone() * *weight as f32);
                let blend = blend.reduce(|sum, value| sum + value).unwrap();
                other = stepper.advance(&mut (), step, other, blend);
                let apart = (own.clone() - other.clone()).abs().max().into_scalar::<f32>();
                assert!(apart < 2e-5, "order {order}, step {step}: {apart}");
            }
        }
    }
}
