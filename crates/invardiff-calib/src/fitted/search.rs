//! The search for times and weights: fronts, closed-loop fits, and moves of single times.

use std::time::Instant;

use invardiff_plan::fitted::{Pricing, TimeChoice, time_front};
use invardiff_runtime::{Full, Policy, Sampler};

use super::closed_fit::ClosedFit;
use super::options::FitOptions;
use super::target::TargetRecord;
use crate::error::CalibError;
use crate::least_error::Goal;
use crate::session::SharedDenoiser;

/// One closed-loop fit that was tried. PSNR is of the finished samples to the target's, in dB relative to the session's span.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The candidate points that were evaluated.
    pub points: Vec<usize>,
    /// How weights were fitted.
    pub fit: FitOptions,
    /// The mean PSNR over the runs that were fitted on.
    pub fitted: f64,
    /// The mean PSNR over the runs that were kept out; over those that were fitted on where none was.
    pub kept_out: f64,
    /// The worst PSNR over the same runs.
    pub worst: f64,
}

impl Tried {
    /// What is chosen by: the middle between mean and worst.
    fn score(&self) -> f64 {
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
struct Best {
    fit: ClosedFit,
    index: usize,
    tried: Vec<Tried>,
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
            if self.judge(points, &self.record.options().fits[0]).1.kept_out >= decibels {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The best fit of so many evaluations, everything that was tried, and which of it is the best.
    pub(super) fn best(&self, evaluations: usize) -> (ClosedFit, Vec<Tried>, usize) {
        let options = self.record.options();
        let mut times: Vec<&[usize]> = Vec::new();
        for front in &self.fronts {
            let points = front[evaluations - 1].points.as_slice();
            if !times.contains(&points) {
                times.push(points);
            }
        }
        let planned = times.len() + options.fits.len() - 1 + options.tries;
        let phase = self.record.session().phase("fitting in closed loop (fits)", planned);
        let mut best: Option<Best> = None;
        for points in times {
            self.offer(&mut best, points, &options.fits[0]);
            phase.advance(1);
        }
        let mut best = best.expect("there is a pricing");
        for fit in &options.fits[1..] {
            let points = best.tried[best.index].points.clone();
            best.take(self.judge(&points, fit));
            phase.advance(1);
        }
        self.move_times(&mut best, options.tries, || phase.advance(1));
        (best.fit, best.tried, best.index)
    }

    /// Moves single times by a third of their gap, round and round, as long as that helps and tries are left.
    fn move_times(&self, best: &mut Best, tries: usize, tick: impl Fn()) {
        let last = self.record.atlas().points();
        let (mut left, mut unmoved, mut at) = (tries, 0, 0);
        while left > 0 {
            let Tried { points, fit, .. } = best.tried[best.index].clone();
            let places = 2 * points.len().saturating_sub(1);
            if unmoved >= places {
                return;
            }
            // Late times first: they are cheap to get right, and early ones decide for all that follow.
            let index = points.len() - 1 - at / 2 % points.len().saturating_sub(1).max(1);
            let next = points.get(index + 1).copied().unwrap_or(last);
            let gaps = [next - points[index], points[index] - points[index - 1]];
            let up = at % 2 == 0;
            at += 1;
            unmoved += 1;
            let gap = if up { gaps[0] } else { gaps[1] };
            if gap < 2 {
                continue;
            }
            let mut moved = points.clone();
            let by = (gap / 3).max(1);
            moved[index] = if up { points[index] + by } else { points[index] - by };
            left -= 1;
            tick();
            if best.take(self.judge(&moved, &fit)) {
                unmoved = 0;
            }
        }
    }

    fn offer(&self, best: &mut Option<Best>, points: &[usize], fit: &FitOptions) {
        let (found, tried) = self.judge(points, fit);
        match best {
            None => *best = Some(Best { fit: found, index: 0, tried: vec![tried] }),
            Some(best) => {
                best.take((found, tried));
            }
        }
    }

    /// A closed-loop fit, and how well it does.
    fn judge(&self, points: &[usize], options: &FitOptions) -> (ClosedFit, Tried) {
        let fit = self.record.fit(points, options);
        let span = self.record.session().span;
        let decibels = |error: &f64| 10.0 * (span * span / error.max(1e-12)).log10();
        let psnr: Vec<f64> = fit.errors.iter().map(decibels).collect();
        let (fitted, kept_out) = psnr.split_at(self.record.fitted_on());
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let judged = if kept_out.is_empty() { fitted } else { kept_out };
        let tried = Tried {
            points: points.to_vec(),
            fit: *options,
            fitted: mean(fitted),
            kept_out: mean(judged),
            worst: judged.iter().copied().fold(f64::INFINITY, f64::min),
        };
        (fit, tried)
    }
}

impl Best {
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
