//! The search for times and weights: fronts, closed-loop fits, moves of single times, solvers' own weights, and a polish.

use std::time::Instant;

use invardiff_plan::fitted::{Pricing, TimeChoice, time_front};
use invardiff_runtime::{Full, Phase, Policy, Sampler};

use super::closed_fit::ClosedFit;
use super::options::FitOptions;
use super::solver::{Multistep, SOLVERS};
use super::target::TargetRecord;
use crate::error::CalibError;
use crate::least_error::Goal;
use crate::session::SharedDenoiser;

/// Where the weights of a tried plan come from.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Weighting {
    /// A closed-loop fit.
    Fitted(FitOptions),
    /// A solver's own.
    Solver(Multistep),
    /// Rounds of Gauss-Newton from the best of the others, which move the times as well.
    Polished {
        /// How many.
        rounds: usize,
    },
}

/// One plan that was tried. PSNR is of the finished samples to the target's, in dB relative to the session's span.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The candidate points that were evaluated; those that a polish started from.
    pub points: Vec<usize>,
    /// Where its weights come from.
    pub weights: Weighting,
    /// The mean PSNR over the runs that were fitted on.
    pub fitted: f64,
    /// The mean PSNR over the runs that were kept out; over those that were fitted on where none was.
    pub kept_out: f64,
    /// The worst PSNR over all runs.
    pub worst: f64,
}

impl Tried {
    /// What is chosen by: the middle between mean and worst.
    pub(super) fn score(&self) -> f64 {
        f64::midpoint(self.kept_out, self.worst)
    }
}

/// The fronts of a record.
pub(super) struct Search<'r, 'a, const D: usize, M: SharedDenoiser<D>, S> {
    record: &'r TargetRecord<'a, D, M, S>,
    /// One per pricing.
    fronts: Vec<Vec<TimeChoice>>,
}

/// The best so far, and everything that was tried.
pub(super) struct Best {
    pub(super) fit: ClosedFit,
    pub(super) index: usize,
    pub(super) tried: Vec<Tried>,
}

impl<'r, 'a, const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Search<'r, 'a, D, M, S> {
    pub(super) fn new(record: &'r TargetRecord<'a, D, M, S>) -> Result<Self, CalibError> {
        let most = record.session().steps();
        let pricings = record.options().pricings.iter();
        let fronts = pricings
            .map(|pricing| Ok(time_front(record.atlas(), &Pricing { most, ..*pricing })?))
            .collect::<Result<_, CalibError>>()?;
        Ok(Self { record, fronts })
    }

    /// The number of evaluations that the goal asks for.
    pub(super) fn evaluations(&self, goal: Goal) -> Result<usize, CalibError> {
        let steps = self.record.session().steps();
        let most = steps.min(self.fronts[0].len());
        let bounded = |goal: &'static str, value: String, wanted: f64| {
            if wanted >= 1.0 {
                return Ok((wanted.floor() as usize).min(most));
            }
            let expected = format!("what at least one evaluation of the network reaches, of {steps} steps");
            Err(CalibError::Goal { goal, value, expected })
        };
        match goal {
            Goal::ComputedSteps(wanted) if (1..=most).contains(&wanted) => Ok(wanted),
            Goal::ComputedSteps(wanted) => Err(CalibError::Goal {
                goal: "the number of computed steps",
                value: wanted.to_string(),
                expected: format!("1 to {most}"),
            }),
            Goal::Speedup(speedup) if speedup >= 1.0 => {
                bounded("the speed-up", speedup.to_string(), steps as f64 / speedup + 1e-9)
            }
            Goal::Speedup(speedup) => Err(CalibError::Goal {
                goal: "the speed-up",
                value: speedup.to_string(),
                expected: format!("1 to {steps}"),
            }),
            Goal::ComputeFraction(share) => {
                bounded("the share of compute", share.to_string(), (steps as f64 * share + 1e-9).max(1.0))
            }
            Goal::Latency(wanted) => {
                bounded("the latency", format!("{wanted} ms"), wanted / self.evaluation_latency())
            }
            Goal::Psnr(decibels) => Ok(self.fewest_for(decibels, most)),
        }
    }

    /// Milliseconds of one evaluation of the first run: the median of three.
    fn evaluation_latency(&self) -> f64 {
        let session = self.record.session();
        let run = &session.runs()[0];
        let device = run.noise.device();
        let mut times: Vec<f64> = (0..3)
            .map(|_| {
                let start = Instant::now();
                let time = session.sampler().time(0);
                session.model().predict(&mut Full.step(0), run.noise.clone(), time, &run.cond);
                // An error would show up in the next reading.
                device.sync().ok();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[1].max(f64::MIN_POSITIVE)
    }

    /// The fewest evaluations of the first front that keep `decibels`, by bisection; the most where none does.
    fn fewest_for(&self, decibels: f64, most: usize) -> usize {
        let (mut low, mut high) = (1, most);
        while low < high {
            let middle = usize::midpoint(low, high);
            let points = &self.fronts[0][middle - 1].points;
            if self.fitted(points, &self.record.options().fits[0]).1.kept_out >= decibels {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The best plan of so many evaluations, and everything that was tried.
    pub(super) fn best(&self, evaluations: usize) -> Best {
        let options = self.record.options();
        let times = self.times(evaluations);
        let moves = options.moves / evaluations.max(1);
        let polish = options.polish_of(evaluations).filter(|_| self.record.atlas().points() > 2);
        let rounds = polish.map_or(0, |polish| polish.rounds);
        let again = options.fits.iter().filter(|fit| fit.prior != options.fits[0].prior);
        let planned =
            times.len() + options.fits.len() - 1 + moves + SOLVERS.len() + again.clone().count() + rounds;
        let phase = self.record.session().phase("fitting in closed loop (fits)", planned);
        let mut tried = times.iter().map(|points| {
            phase.advance(1);
            self.fitted(points, &options.fits[0])
        });
        let mut best = Best::new(tried.next().expect("there is a pricing"));
        tried.for_each(|tried| {
            best.take(tried);
        });
        for fit in &options.fits[1..] {
            best.take(self.fitted(&best.points(), fit));
            phase.advance(1);
        }
        self.move_times(&mut best, moves, &phase);
        // A solver may do best at other times than the fits, and fits drawn towards it do well at its times.
        let tried = best.times();
        for solver in SOLVERS {
            best.take(self.at_best_times(solver, &tried, &|| ()));
            phase.advance(1);
        }
        for fit in again {
            best.take(self.fitted(&best.points(), fit));
            phase.advance(1);
        }
        if let Some(polish) = polish {
            let points = best.points();
            for (round, fit) in
                self.record.polished(&best.fit, &polish, &|| phase.advance(1)).into_iter().enumerate()
            {
                best.take(self.judged(fit, &points, Weighting::Polished { rounds: round + 1 }));
            }
        }
        best
    }

    /// Where a solver's own weights do best on the runs that are judged on: at the times of the fronts, or at further ones.
    pub(super) fn best_of(
        &self,
        solver: Multistep,
        evaluations: usize,
        more: &[Vec<usize>],
    ) -> (ClosedFit, Tried) {
        let mut times = self.times(evaluations);
        times.extend(more.iter().filter(|points| points.len() == evaluations).cloned());
        let phase = self.record.session().phase("replaying a solver at chosen times (times)", times.len());
        self.at_best_times(solver, &times, &|| phase.advance(1))
    }

    /// A solver's own weights at those of `times` where they do best on the runs that are judged on.
    fn at_best_times(&self, solver: Multistep, times: &[Vec<usize>], done: &dyn Fn()) -> (ClosedFit, Tried) {
        let judged = times.iter().map(|points| {
            let grid = self.record.grid(points);
            let rows = solver.rows(&grid.points).expect("the orders of the solvers are known");
            let errors = self.record.errors(&grid, &rows, self.record.judged_on());
            done();
            let psnr: Vec<f64> = errors.iter().map(|error| self.record.decibels(*error)).collect();
            (score(&psnr), points)
        });
        let best = judged.max_by(|(one, _), (other, _)| one.total_cmp(other));
        let (_, points) = best.expect("there is a pricing");
        self.solved(points, solver)
    }

    /// The times of every front, each once.
    fn times(&self, evaluations: usize) -> Vec<Vec<usize>> {
        let mut times: Vec<Vec<usize>> = Vec::new();
        for front in &self.fronts {
            let points = &front[evaluations - 1].points;
            if !times.contains(points) {
                times.push(points.clone());
            }
        }
        times
    }

    /// Moves single times, round and round, as long as that helps and moves are left: by a third of their gap, and once that
    /// does not help any more, by one candidate.
    fn move_times(&self, best: &mut Best, moves: usize, phase: &Phase<'_>) {
        let last = self.record.atlas().points();
        let (mut left, mut unmoved, mut at, mut fine) = (moves, 0, 0, false);
        while left > 0 {
            let Tried { points, weights, .. } = best.tried[best.index].clone();
            let Weighting::Fitted(fit) = weights else { return };
            if unmoved >= 2 * points.len().saturating_sub(1) {
                if fine {
                    return;
                }
                (fine, unmoved) = (true, 0);
            }
            let Some(index) = points.len().checked_sub(1 + at / 2 % points.len().saturating_sub(1).max(1))
            else {
                return;
            };
            // Late times first: they are cheap to get right, and early ones decide for all that follow.
            let next = points.get(index + 1).copied().unwrap_or(last);
            let up = at % 2 == 0;
            (at, unmoved) = (at + 1, unmoved + 1);
            let gap = if up { next - points[index] } else { points[index] - points[index.saturating_sub(1)] };
            if gap < 2 || index == 0 {
                continue;
            }
            let by = if fine { 1 } else { (gap / 3).max(1) };
            let mut moved = points;
            moved[index] = if up { moved[index] + by } else { moved[index] - by };
            left -= 1;
            phase.advance(1);
            if best.tried.iter().all(|tried| tried.points != moved) && best.take(self.fitted(&moved, &fit)) {
                unmoved = 0;
            }
        }
    }

    /// A closed-loop fit, and how well it does.
    fn fitted(&self, points: &[usize], options: &FitOptions) -> (ClosedFit, Tried) {
        self.judged(self.record.fit(points, options), points, Weighting::Fitted(*options))
    }

    /// A solver's own weights, and how well they do.
    fn solved(&self, points: &[usize], solver: Multistep) -> (ClosedFit, Tried) {
        let rows = solver.rows(&self.record.grid(points).points);
        let rows = rows.expect("the orders of the solvers are known");
        self.judged(self.record.with_rows(points, &rows), points, Weighting::Solver(solver))
    }

    fn judged(&self, fit: ClosedFit, points: &[usize], weights: Weighting) -> (ClosedFit, Tried) {
        let psnr: Vec<f64> = fit.errors.iter().map(|error| self.record.decibels(*error)).collect();
        let (fitted, kept_out) = psnr.split_at(self.record.fitted_on());
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let tried = Tried {
            points: points.to_vec(),
            weights,
            fitted: mean(fitted),
            kept_out: mean(if kept_out.is_empty() { fitted } else { kept_out }),
            worst: psnr.iter().copied().fold(f64::INFINITY, f64::min),
        };
        (fit, tried)
    }
}

/// The middle between the mean and the worst.
fn score(psnr: &[f64]) -> f64 {
    let mean = psnr.iter().sum::<f64>() / psnr.len() as f64;
    f64::midpoint(mean, psnr.iter().copied().fold(f64::INFINITY, f64::min))
}

impl Best {
    fn new((fit, tried): (ClosedFit, Tried)) -> Self {
        Self { fit, index: 0, tried: vec![tried] }
    }

    /// The times of the best.
    fn points(&self) -> Vec<usize> {
        self.tried[self.index].points.clone()
    }

    /// All times that were tried, each once.
    fn times(&self) -> Vec<Vec<usize>> {
        let mut times: Vec<Vec<usize>> = self.tried.iter().map(|tried| tried.points.clone()).collect();
        times.sort();
        times.dedup();
        times
    }

    /// Keeps a fit if it is better; whether it is.
    fn take(&mut self, (fit, tried): (ClosedFit, Tried)) -> bool {
        let better = tried.score() > self.tried[self.index].score();
        self.tried.push(tried);
        if better {
            (self.fit, self.index) = (fit, self.tried.len() - 1);
        }
        better
    }
}
