//! The front of one strategy: choosing a point for a goal, replaying it and refining it.

use std::time::Instant;

use invardiff_plan::least_error::{FrontPoint, PlannerOptions, SkipErrors};
use invardiff_plan::{CachePlan, Cost, TimeAxis};
use invardiff_runtime::{Guard, GuardStep, OutputForm, Replay, Sampler, sample_with};

use super::found::{CheckedPoint, Refinement, Replayed, WithModules, nothing_to_skip};
use super::options::Goal;
use super::refine::{Refined, refine};
use crate::closed_loop::ClosedLoop;
use crate::error::CalibError;
use crate::modules::ModuleSearch;
use crate::session::SharedDenoiser;

/// Runs that a gate is refined and modules are planned on, at most.
const SEARCH_RUNS: usize = 2;
/// Gates that a refinement tries, at most.
const TRIES: usize = 40;
/// How much steeper the path with modules starts: computed steps over those of the plan without.
const MORE_STEPS: f64 = 1.2;

/// What a point of one strategy's front needs to become a plan and to be replayed.
pub(super) struct Planner<'p, 'a, const D: usize, M: SharedDenoiser<D>, S> {
    pub(super) closed: &'p ClosedLoop<'a, D, M, S>,
    pub(super) atlas: &'p SkipErrors,
    pub(super) options: PlannerOptions,
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Planner<'_, '_, D, M, S> {
    /// A point as a plan.
    pub(super) fn plan(&self, point: &FrontPoint) -> Result<CachePlan, CalibError> {
        Ok(point.plan(self.atlas, self.options.rule)?)
    }

    /// The number of computed steps that the goal asks for.
    pub(super) fn choose(&self, goal: Goal, points: &[FrontPoint]) -> Result<usize, CalibError> {
        let steps = self.atlas.steps();
        let first = points.first().ok_or_else(nothing_to_skip)?;
        match goal {
            Goal::ComputedSteps(computed) if (first.computed..=steps).contains(&computed) => Ok(computed),
            Goal::ComputedSteps(computed) => Err(CalibError::Goal {
                goal: "the number of computed steps",
                value: computed.to_string(),
                expected: format!("{} to {steps}", first.computed),
            }),
            Goal::Speedup(speedup) => {
                let most = 1.0 / self.share(first)?;
                if (1.0..=most).contains(&speedup) {
                    return self.within(points, 1.0 / speedup);
                }
                let window = self.atlas.window();
                let expected = format!("1 to {most:.2} (skips of at most {window} steps in a row)");
                Err(CalibError::Goal { goal: "the speed-up", value: speedup.to_string(), expected })
            }
            Goal::Latency(wanted) => self.within_latency(points, wanted),
            Goal::Psnr(decibels) => self.fewest_for(points, decibels),
            Goal::ComputeFraction(share) => self.within(points, share),
        }
    }

    /// The mean FLOPs of a point's plan, relative to the full run.
    fn share(&self, point: &FrontPoint) -> Result<f64, CalibError> {
        Ok(Cost::of(&self.plan(point)?, &self.closed.session().model().topology())?.compute_fraction())
    }

    /// The most computed steps that take at most this share of the full run's FLOPs, or as few as there can be.
    fn within(&self, points: &[FrontPoint], share: f64) -> Result<usize, CalibError> {
        let mut computed = points.first().ok_or_else(nothing_to_skip)?.computed;
        for point in points {
            if self.share(point)? <= share * (1.0 + 1e-9) {
                computed = point.computed;
            }
        }
        Ok(computed)
    }

    /// The most computed steps that take at most `wanted` milliseconds for one sample, by steps timed under a plan in the
    /// middle of the front.
    fn within_latency(&self, points: &[FrontPoint], wanted: f64) -> Result<usize, CalibError> {
        let (steps, fewest) = (self.atlas.steps(), points.first().ok_or_else(nothing_to_skip)?.computed);
        let [full, skipped] = self.step_latency(&self.plan(&points[points.len() / 2])?)?;
        let computed = (wanted - steps as f64 * skipped) / (full - skipped).max(f64::MIN_POSITIVE);
        if computed >= fewest as f64 {
            return Ok((computed.floor() as usize).clamp(fewest, steps));
        }
        let least = fewest as f64 * full + (steps - fewest) as f64 * skipped;
        Err(CalibError::Goal {
            goal: "the latency",
            value: format!("{wanted} ms"),
            expected: format!(
                "at least {least:.1} ms, which the fastest plan takes here ({full:.2} ms a computed step)"
            ),
        })
    }

    /// Milliseconds of a computed and of a skipped step of the first run under `plan`: medians over one trajectory.
    fn step_latency(&self, plan: &CachePlan) -> Result<[f64; 2], CalibError> {
        let session = self.closed.session();
        let run = &session.runs()[0];
        let device = run.noise.device();
        let mut replay = Replay::new(plan.schedule(&session.model().topology())?.into());
        let (mut times, mut last) = (Vec::with_capacity(plan.steps()), Instant::now());
        let tick = |_: &Replay, _, _: &_| {
            // The processor computes at once; other devices are waited for. An error would show up in the next reading.
            device.sync().ok();
            times.push(last.elapsed().as_secs_f64() * 1e3);
            last = Instant::now();
        };
        sample_with(session.model(), session.sampler(), &mut replay, run.noise.clone(), &run.cond, tick);
        let of = |skipped: bool| {
            let mut times: Vec<f64> = times
                .iter()
                .zip(plan.gate())
                .filter_map(|(ms, gate)| (*gate == skipped).then_some(*ms))
                .collect();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(0.0)
        };
        Ok([of(false), of(true)])
    }

    /// The fewest computed steps that keep `decibels`, by bisection over the front: more steps err less.
    fn fewest_for(&self, points: &[FrontPoint], decibels: f64) -> Result<usize, CalibError> {
        let (mut low, mut high) = (0, points.len() - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.closed.mean_psnr(&self.plan(&points[middle])?)? >= decibels {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(points[low].computed)
    }

    /// The PSNR that the atlas predicts for a point, in dB: the errors of its skips, all in one direction.
    fn predicted(&self, point: &FrontPoint) -> f64 {
        self.closed.decibels(point.error * point.error)
    }

    /// The point itself, or refined by swaps where its replay is worse than predicted by more than [`Replayed::MARGIN`].
    pub(super) fn refined(&self, point: &FrontPoint) -> Result<(FrontPoint, Replayed), CalibError> {
        let (predicted, found) = (self.predicted(point), self.closed.mean_psnr(&self.plan(point)?)?);
        let replayed = Replayed { predicted, found, refined: None };
        if found >= predicted - Replayed::MARGIN {
            return Ok((point.clone(), replayed));
        }
        let closed = self.closed.first(SEARCH_RUNS);
        let phase = closed.session().phase("refining the plan (replays)", TRIES);
        let error = |gate: &[bool]| {
            phase.advance(1);
            closed.mean_error(&self.plan(&FrontPoint { gate: gate.to_vec(), ..point.clone() })?)
        };
        let bounds = (self.options.warm_up, self.atlas.window());
        let Refined { gate, swaps, .. } = refine(&point.gate, bounds, TRIES, error)?;
        let moved = FrontPoint { gate, ..point.clone() };
        let psnr = self.closed.mean_psnr(&self.plan(&moved)?)?;
        let refined = Some(Refinement { swaps, runs: closed.session().runs().len(), psnr });
        Ok((if psnr > found { moved } else { point.clone() }, Replayed { refined, ..replayed }))
    }

    /// A plan of the same compute with more computed steps, in which modules are reused.
    pub(super) fn with_modules(
        &self,
        plan: &CachePlan,
        points: &[FrontPoint],
    ) -> Result<WithModules, CalibError> {
        let topology = self.closed.session().model().topology();
        let search = ModuleSearch::to(Cost::of(plan, &topology)?.compute_fraction());
        let computed = plan.steps() - plan.skipped_steps();
        let more = ((computed as f64 * MORE_STEPS).round() as usize).min(plan.steps());
        let start = points.iter().find(|point| point.computed == more).or(points.last());
        let start = self.plan(start.ok_or_else(nothing_to_skip)?)?;
        let found = self.closed.first(SEARCH_RUNS).reuse_modules(&start, &search)?;
        let (without, psnr) = (self.closed.mean_psnr(plan)?, self.closed.mean_psnr(&found)?);
        Ok(WithModules { plan: found, computed: more, psnr, without })
    }

    /// The settings of a guarded run of the point, which may compute `share` of the steps more.
    pub(super) fn guard(&self, point: &FrontPoint, share: f64) -> Result<Guard, CalibError> {
        let mut computed: Vec<usize> = Vec::new();
        let mut steps = Vec::with_capacity(point.gate.len());
        for (step, &skipped) in point.gate.iter().enumerate() {
            let time = match self.atlas.axis() {
                TimeAxis::Step => step as f64,
                TimeAxis::Sampler => self.atlas.times()[step],
            };
            let mut expected = None;
            if !skipped {
                if let [.., a, b] = computed[..] {
                    expected = self.atlas.squared_error(self.options.rule, step, b, Some(a));
                }
                computed.push(step);
            }
            steps.push(GuardStep { skipped, time, expected });
        }
        let extra = (share * point.gate.len() as f64).floor() as usize;
        Ok(Guard::new(steps, OutputForm::X0)?.with_extra(extra))
    }

    /// About eight points of the front, from a sixth to two thirds of the steps, replayed.
    pub(super) fn check(&self, points: &[FrontPoint]) -> Result<Vec<CheckedPoint>, CalibError> {
        let steps = self.atlas.steps();
        let shown: Vec<&FrontPoint> =
            points.iter().filter(|point| (steps / 6..=2 * steps / 3).contains(&point.computed)).collect();
        let stride = shown.len().div_ceil(8).max(1);
        let phase = self.closed.session().phase("checking the front (plans)", shown.len().div_ceil(stride));
        let checked = shown.into_iter().step_by(stride).map(|point| {
            let psnr = self.closed.mean_psnr(&self.plan(point)?)?;
            phase.advance(1);
            let compute_fraction = point.computed as f64 / steps as f64;
            let predicted = self.predicted(point);
            Ok(CheckedPoint { computed: point.computed, compute_fraction, psnr, predicted })
        });
        checked.collect()
    }
}
