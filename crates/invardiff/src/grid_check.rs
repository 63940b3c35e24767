//! Whether the times of a plan are times of this model.

use invardiff_plan::PlanError;
use invardiff_plan::core::{TimeGrid, TimePoint};
use invardiff_runtime::{ProbabilityPath, Sampler};

/// Rounding of noise levels that were written to a file.
const ROUNDING: f64 = 1e-6;

/// Every point of the grid lies on the sampler's path, and its noise level is between those that the sampler has at the
/// neighbouring times.
///
/// # Errors
/// [`PlanError::Range`] naming the first point that does not.
pub(crate) fn check<const D: usize, S: Sampler<D>>(grid: &TimeGrid, sampler: &S) -> Result<(), PlanError> {
    let straight = sampler.noise_level(0).path == ProbabilityPath::Straight;
    let own: Vec<(f64, f64)> = (0..sampler.steps())
        .map(|step| {
            let level = sampler.noise_level(step);
            (f64::from(sampler.time(step)), level.sigma / level.alpha.hypot(level.sigma))
        })
        .collect();
    for (step, point) in grid.points.iter().enumerate() {
        let TimePoint { time, alpha, sigma } = *point;
        let norm = if straight { alpha + sigma } else { alpha.hypot(sigma) };
        let refuse = |expected: String| PlanError::Range {
            what: format!("grid.points[{step}]"),
            value: format!("{point:?}"),
            expected,
        };
        if (norm - 1.0).abs() > ROUNDING {
            let sum = if straight { "alpha + sigma = 1" } else { "alpha^2 + sigma^2 = 1" };
            return Err(refuse(format!("{sum}: the model's own path from noise to images")));
        }
        let noise = sigma / alpha.hypot(sigma);
        let time = f64::from(time);
        // Samplers go from high times to low ones, with less and less noise.
        let above = own.iter().filter(|(at, _)| *at >= time).map(|(_, noise)| *noise);
        let below = own.iter().filter(|(at, _)| *at <= time).map(|(_, noise)| *noise);
        let (most, least) = (above.fold(f64::INFINITY, f64::min), below.fold(0.0, f64::max));
        if noise > most + ROUNDING || noise < least - ROUNDING {
            return Err(refuse(format!(
                "a noise level that the model knows at this time, sigma / alpha from {:.6} to {:.6}: the plan was made for another \
                 noise schedule or shift",
                ratio(least),
                ratio(most.min(1.0))
            )));
        }
    }
    Ok(())
}

/// Sigma over alpha from the share of the noise.
fn ratio(noise: f64) -> f64 {
    noise / (1.0 - noise * noise).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use invardiff_runtime::{DpmSolverPlusPlus, FlowMatchEuler, NoiseSchedule, OutputForm, Shift, Spacing};

    fn grid<S: Sampler<3>>(sampler: &S, steps: &[usize]) -> TimeGrid {
        let point = |step: &usize| {
            let level = sampler.noise_level(*step);
            TimePoint { time: sampler.time(*step), alpha: level.alpha, sigma: level.sigma }
        };
        TimeGrid { instead_of: 10, points: steps.iter().map(point).collect() }
    }

    #[test]
    fn times_of_the_same_model_pass_and_other_ones_are_named() {
        let dpm = |steps| {
            DpmSolverPlusPlus::new(&NoiseSchedule::dit(), Spacing::Linspace, steps, OutputForm::X0).unwrap()
        };
        let flow = |shift| FlowMatchEuler::new(28, Shift::Static(shift)).unwrap();
        let fine = grid(&dpm(100), &[0, 7, 31, 80, 99]);
        check::<3, _>(&fine, &dpm(10)).unwrap();
        check::<3, _>(&grid(&flow(3.0), &[0, 5, 27]), &flow(1.0)).unwrap();
        let message = |grid: &TimeGrid| check::<3, _>(grid, &dpm(10)).unwrap_err().to_string();
        let mut later = fine.clone();
        later.points[2].time -= 150.0;
        assert!(message(&later).contains("grid.points[2]"), "{}", message(&later));
        assert!(message(&later).contains("another noise schedule"), "{}", message(&later));
        // Pure noise is on both paths; what follows is not.
        let straight = message(&grid(&flow(1.0), &[5, 9]));
        assert!(straight.contains("grid.points[0]") && straight.contains("alpha^2"), "{straight}");
    }
}
