//! Gauss-Newton steps on the finished samples: weights and times together, by differences of replays.

use invardiff_plan::core::{TimeGrid, TimePoint, WeightRow};
use invardiff_plan::fitted::ridge_weights;
use invardiff_runtime::{ProbabilityPath, Sampler};

use super::closed_fit::ClosedFit;
use super::options::Polish;
use super::target::TargetRecord;
use crate::session::SharedDenoiser;

/// A number of a plan that can be turned.
#[derive(Clone, Copy, Debug)]
enum Knob {
    /// A weight of a kept output.
    Kept { step: usize, age: usize },
    /// The weight of the sample.
    Sample { step: usize },
    /// When a step is evaluated, as half log-SNR.
    Time { step: usize },
}

/// A plan as numbers that can be turned.
#[derive(Clone, Debug)]
struct Course {
    /// Half log-SNR of every evaluation but the first, which stays where it is.
    times: Vec<f64>,
    rows: Vec<WeightRow>,
}

/// What the normal equations of the finished samples are summed from, over runs.
struct Normal {
    m: Vec<f64>,
    h: Vec<f64>,
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> TargetRecord<'_, D, M, S> {
    /// Polishes a fit: in every round, how the finished samples change with each weight and each time is found by replaying with
    /// it moved a little, and all are moved by a damped Gauss-Newton step towards the targets' finished samples. Returns the fit
    /// after every round that came nearer on the runs that are fitted on.
    ///
    /// A round costs `(weights a row / 2 + 1 / 2) K^2` evaluations of the network a run for `K` evaluations of the plan.
    pub(super) fn polished(&self, fit: &ClosedFit, polish: &Polish, tick: &dyn Fn()) -> Vec<ClosedFit> {
        let runs = self.fitted_on().min(polish.runs.max(1));
        let mut course =
            Course { times: fit.grid.points[1..].iter().map(half_log_snr).collect(), rows: fit.rows.clone() };
        let (mut damping, mut found) = (1e-2, Vec::new());
        let mut errors = fit.errors[..runs].to_vec();
        for _ in 0..polish.rounds {
            let normal = self.normal(&course, &errors);
            let mut nearer = None;
            for _ in 0..TRIALS {
                let next = course.moved(&normal, damping).filter(|next| self.in_order(&next.times));
                let tried =
                    next.map(|next| (self.errors(&self.grid_of(&next.times), &next.rows, 0..runs), next));
                nearer = tried.filter(|(now, _)| loss(now) < loss(&errors));
                if nearer.is_some() {
                    damping = f64::max(damping / 5.0, 1e-6);
                    break;
                }
                damping *= 8.0;
            }
            tick();
            let Some((now, next)) = nearer else { break };
            (course, errors) = (next, now);
            found.push(self.as_fit(&course));
        }
        found
    }

    /// The normal equations at a course, over the first runs, whose errors are given.
    fn normal(&self, course: &Course, errors: &[f64]) -> Normal {
        let knobs = course.knobs();
        let runs: Vec<(usize, f64)> = errors.iter().copied().enumerate().collect();
        let each = self.session().concurrency.each(runs, |(run, error)| {
            let (slopes, apart) = self.slopes(course, &knobs, run);
            // Between the mean square, which the worst run decides, and its logarithm, which all decide alike.
            let weight = 1.0 / error.max(1e-12).sqrt();
            let product = |a: &[f32], b: &[f32]| {
                weight * a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
            };
            let n = knobs.len();
            let m = (0..n * n)
                .map(|at| if at % n <= at / n { product(&slopes[at / n], &slopes[at % n]) } else { 0.0 });
            Normal { m: m.collect(), h: slopes.iter().map(|slope| product(slope, &apart)).collect() }
        });
        let n = knobs.len();
        let mut sum = Normal { m: vec![0.0; n * n], h: vec![0.0; n] };
        for one in each {
            sum.m.iter_mut().zip(one.m).for_each(|(sum, one)| *sum += one);
            sum.h.iter_mut().zip(one.h).for_each(|(sum, one)| *sum += one);
        }
        for at in 0..n * n {
            sum.m[at] = sum.m[(at / n).max(at % n) * n + (at / n).min(at % n)];
        }
        sum
    }

    /// How a run's finished sample changes with every knob, by its [`Course::reach`]; and how far it is from the target's.
    fn slopes(&self, course: &Course, knobs: &[Knob], run: usize) -> (Vec<Vec<f32>>, Vec<f32>) {
        let stepper = self.stepper(&self.grid_of(&course.times));
        // The trail before every step, and after the last.
        let mut stands = vec![self.trail(run)];
        let mut evaluated = Vec::new();
        for (step, row) in course.rows.iter().enumerate() {
            let mut trail = stands[step].clone();
            self.evaluate(&stepper, &mut trail, step, WeightRow::MAX);
            evaluated.push(trail.clone());
            trail.go(row, stepper.weights(step));
            stands.push(trail);
        }
        let end = &stands[course.rows.len()];
        let slope = |knob: &Knob| {
            let turned = course.turned(*knob, course.reach(*knob));
            let (from, stepper) = match knob {
                Knob::Kept { step, .. } | Knob::Sample { step } => (*step, stepper.clone()),
                Knob::Time { step } => (*step - 1, self.stepper(&self.grid_of(&turned.times))),
            };
            let mut trail = evaluated[from].clone();
            trail.go(&turned.rows[from], stepper.weights(from));
            self.finish(&stepper, &turned.rows, &mut trail, from + 1);
            trail.x.iter().zip(&end.x).map(|(turned, here)| turned - here).collect()
        };
        let apart = end.target.finished().iter().zip(&end.x).map(|(target, x)| target - x).collect();
        (knobs.iter().map(slope).collect(), apart)
    }

    /// The times as a grid; the first point is the first candidate.
    fn grid_of(&self, times: &[f64]) -> TimeGrid {
        let candidates = &self.atlas().candidates;
        let path = self.session().sampler.noise_level(0).path;
        let first = candidates.points[0];
        let points = times.iter().map(|time| between(&candidates.points, path, *time));
        TimeGrid { instead_of: candidates.instead_of, points: std::iter::once(first).chain(points).collect() }
    }

    /// Whether times rise and lie within the candidates; after pure noise, from the second candidate on.
    fn in_order(&self, times: &[f64]) -> bool {
        let candidates = &self.atlas().candidates.points;
        let noisiest = half_log_snr(&candidates[0]);
        let first = if noisiest.is_finite() { noisiest + 1e-3 } else { half_log_snr(&candidates[1]) };
        let last = half_log_snr(&candidates[candidates.len() - 1]);
        times.is_sorted_by(|a, b| *a + 1e-3 < *b)
            && times.first().is_none_or(|time| *time >= first)
            && times.last().is_none_or(|time| *time <= last)
    }

    /// A course as a fit, with its errors.
    fn as_fit(&self, course: &Course) -> ClosedFit {
        let grid = self.grid_of(&course.times);
        let stepper = self.stepper(&grid);
        let candidates = &self.atlas().candidates.points;
        let runs: Vec<usize> = (0..self.session().runs.len()).collect();
        let squares: Vec<Vec<f64>> = self.session().concurrency.each(runs, |run| {
            let mut trail = self.trail(run);
            let rows = course.rows.iter().enumerate();
            let after = rows.map(|(step, row)| {
                self.evaluate(&stepper, &mut trail, step, WeightRow::MAX);
                trail.go(row, stepper.weights(step));
                let target = course.times.get(step).map(|time| trail.target.at(candidates, *time));
                trail.error(target.as_deref().unwrap_or(trail.target.finished()))
            });
            after.collect()
        });
        let on = &squares[..self.fitted_on()];
        let residual = |step: usize| (on.iter().map(|run| run[step]).sum::<f64>() / on.len() as f64).sqrt();
        let residuals = (0..course.rows.len()).map(residual).collect();
        let errors = squares.iter().map(|run| run[course.rows.len() - 1]).collect();
        ClosedFit { grid, rows: course.rows.clone(), residuals, errors }
    }
}

/// Dampings that one round tries.
const TRIALS: usize = 5;

/// What a polish brings down: the sum of root mean square errors.
fn loss(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error.sqrt()).sum()
}

fn half_log_snr(point: &TimePoint) -> f64 {
    (point.alpha / point.sigma).ln()
}

/// The point at a half log-SNR, the model's time being on the line between the neighbouring points.
fn between(points: &[TimePoint], path: ProbabilityPath, time: f64) -> TimePoint {
    let after = points.partition_point(|point| half_log_snr(point) <= time).clamp(1, points.len() - 1);
    let (before, after) = (points[after - 1], points[after]);
    let (low, high) = (half_log_snr(&before), half_log_snr(&after));
    let share = if low.is_finite() { (time - low) / (high - low) } else { 1.0 };
    let (alpha, sigma) = match path {
        ProbabilityPath::VariancePreserving => {
            let alpha = (1.0 / (1.0 + (-2.0 * time).exp())).sqrt();
            (alpha, (1.0 / (1.0 + (2.0 * time).exp())).sqrt())
        }
        ProbabilityPath::Straight => (1.0 / (1.0 + (-time).exp()), 1.0 / (1.0 + time.exp())),
    };
    let model_time = f64::from(before.time) + share * (f64::from(after.time) - f64::from(before.time));
    TimePoint { time: model_time as f32, alpha, sigma }
}

impl Course {
    fn knobs(&self) -> Vec<Knob> {
        let weights = self.rows.iter().enumerate().flat_map(|(step, row)| {
            let kept = (0..row.kept.len()).map(move |age| Knob::Kept { step, age });
            kept.chain((row.sample != 0.0).then_some(Knob::Sample { step }))
        });
        weights.chain((1..self.rows.len()).map(|step| Knob::Time { step })).collect()
    }

    /// How far a knob is turned to see what it does.
    fn reach(&self, knob: Knob) -> f64 {
        match knob {
            Knob::Kept { .. } | Knob::Sample { .. } => 2e-3,
            Knob::Time { step } => {
                let gap = |a: usize| self.times.get(a + 1).map_or(f64::INFINITY, |next| next - self.times[a]);
                let before = if step > 1 { gap(step - 2) } else { f64::INFINITY };
                0.02 * before.min(gap(step - 1)).min(1.0)
            }
        }
    }

    fn turned(&self, knob: Knob, by: f64) -> Self {
        let mut turned = self.clone();
        match knob {
            Knob::Kept { step, age } => turned.rows[step].kept[age] += by,
            Knob::Sample { step } => turned.rows[step].sample += by,
            Knob::Time { step } => turned.times[step - 1] += by,
        }
        turned
    }

    /// The damped step; `None` where it is not finite.
    fn moved(&self, normal: &Normal, damping: f64) -> Option<Self> {
        let n = normal.h.len();
        let mut m = normal.m.clone();
        (0..n).for_each(|i| m[i * n + i] *= 1.0 + damping);
        let change = ridge_weights(&m, &normal.h, &vec![0.0; n], 1e-12);
        if change.iter().all(|change| *change == 0.0) {
            return None;
        }
        let knobs = self.knobs();
        let moved = knobs.iter().zip(change);
        Some(
            moved.fold(self.clone(), |course, (knob, change)| {
                course.turned(*knob, change * self.reach(*knob))
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_between_lies_on_the_path_and_between_the_times() {
        let straight = |sigma: f64| TimePoint { time: sigma as f32, alpha: 1.0 - sigma, sigma };
        let points = [straight(1.0), straight(0.8), straight(0.5), straight(0.1)];
        let found = between(&points, ProbabilityPath::Straight, half_log_snr(&straight(0.65)));
        assert!((found.sigma - 0.65).abs() < 1e-12 && (found.alpha - 0.35).abs() < 1e-12);
        assert!((0.5..0.8).contains(&found.time), "{}", found.time);
        let same = between(&points, ProbabilityPath::Straight, half_log_snr(&points[2]));
        assert!((same.sigma - 0.5).abs() < 1e-12 && (same.time - 0.5).abs() < 1e-6);
        let round = TimePoint { time: 3.0, alpha: 0.8, sigma: 0.6 };
        let ends = [TimePoint { time: 9.0, alpha: 0.1, sigma: 0.99_f64.sqrt() }, round];
        let found = between(&ends, ProbabilityPath::VariancePreserving, half_log_snr(&round));
        assert!((found.alpha - 0.8).abs() < 1e-12 && (found.sigma - 0.6).abs() < 1e-12 && found.time == 3.0);
    }
}
