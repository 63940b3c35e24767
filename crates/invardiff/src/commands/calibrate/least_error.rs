//! The plan of least error: measured skips, planned exactly, checked by a real replay.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use invardiff_calib::{AtlasOptions, ClosedLoop, ModuleSearch, Run, measure_atlases, reuse_modules};
use invardiff_plan::{CachePlan, Cost, ErrorAtlas, FrontPoint, PlannerOptions, Provenance, front};
use invardiff_runtime::{Denoiser, Guard, OutputForm};

use super::goal::Goal;
use super::refine::{Refined, refine};
use super::{Args, measure, trace};
use crate::commands::manner::{self, Manner};
use crate::{Pipeline, bar};

/// Runs that the atlas is measured and checked on, at most.
const RUNS: usize = 8;
/// Runs that a gate is refined and modules are planned on, at most.
const SEARCH_RUNS: usize = 2;
/// A replay that is this many dB worse than the atlas predicts makes the plan refined by swaps.
const MARGIN: f64 = 3.0;
/// Gates that a refinement tries, at most.
const TRIES: usize = 40;
/// How much steeper the path with modules starts: computed steps over those of the plan without.
const MORE_STEPS: f64 = 1.2;

/// A point of the front as a real replay found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    /// How many steps are computed.
    pub(super) computed: usize,
    /// FLOPs relative to the full run.
    pub(super) compute_fraction: f64,
    /// Mean PSNR to the full run on the calibration's conditions, in dB.
    pub(super) psnr: f64,
    /// What the atlas predicts for it, errors of skips added up.
    pub(super) predicted: f64,
}

/// The front of least-error plans, and the one chosen.
pub(super) struct LeastError {
    /// Some of the front, checked.
    pub(super) checked: Vec<Checked>,
    /// The chosen plan.
    pub(super) plan: CachePlan,
    /// How its skips are stood in for.
    pub(super) manner: Manner,
    /// The plan with modules planned by error, where that was asked for.
    pub(super) with_modules: Option<CachePlan>,
    /// What a guarded run goes by, where that was asked for.
    pub(super) guard: Option<Guard>,
    /// What is to be said of how it was made.
    pub(super) notes: Vec<String>,
    /// What every skip costs: other plans can be made from it without the model.
    pub(super) atlas: ErrorAtlas,
}

/// Everything that a point of the front needs to become a plan and to be checked.
struct Bench<'a, const D: usize, P: Pipeline<D>> {
    full: &'a P,
    runs: Vec<Run<D, P::Cond>>,
    atlas: ErrorAtlas,
    options: PlannerOptions,
    closed: ClosedLoop<D>,
}

/// Measures the atlas, plans the front and chooses: by the goal, or without one at most `compute` of the full run.
pub(super) fn plan<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    compute: f64,
    like: &Provenance,
) -> Result<LeastError> {
    let share = args.means.guard()?;
    let mut notes = Vec::new();
    let bench = Bench::new(args, full, compute, like, &mut notes)?;
    let points = front(&bench.atlas, &bench.options)?;
    let computed = bench.choose(&args.goal, &points, compute)?;
    let point = points
        .iter()
        .find(|point| point.computed == computed)
        .context("the front has every number of steps")?;
    let point = bench.mend(point, &mut notes)?;
    let plan = bench.plan(&point)?;
    let with_modules =
        args.means.plan_modules().then(|| bench.with_modules(&plan, &points, &mut notes)).transpose()?;
    let checked = bench.check(&points)?;
    let guard = share.map(|share| bench.guard(&point, share));
    let manner = Manner { gate_site: bench.atlas.gate_site, rule: bench.options.rule };
    Ok(LeastError { checked, plan, manner, with_modules, guard, notes, atlas: bench.atlas })
}

impl<'a, const D: usize, P: Pipeline<D>> Bench<'a, D, P> {
    /// Measures, and settles how skips are stood in for.
    fn new(
        args: &Args,
        full: &'a P,
        compute: f64,
        like: &Provenance,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let mut runs = measure::runs(args, full)?;
        runs.truncate(RUNS);
        let progress = bar(runs.len(), "pricing skips (runs)");
        let parallel = full.record_options().parallel;
        let options = AtlasOptions { axis: args.means.axis(), parallel, ..AtlasOptions::default() };
        let manners = args.means.manners();
        let sites = Manner::sites(&manners);
        let (model, sampler) = (full.denoiser(), full.sampler());
        let mut atlases = measure_atlases(model, sampler, &runs, &sites, &options, &|| progress.inc(1))?;
        progress.finish_and_clear();
        for atlas in &mut atlases {
            atlas.provenance = Provenance { thresholds: Vec::new(), ..like.clone() };
        }
        let closed = ClosedLoop::new(model, sampler, &runs, parallel)?;
        let usual = PlannerOptions::default();
        let warm_up = args.warm_up.unwrap_or_default().max(usual.warm_up);
        let options = PlannerOptions { warm_up, ..usual };
        let atlas = atlases.first().context("there is a way to stand in for skips")?.clone();
        let mut bench = Self { full, runs, atlas, options, closed };
        match manners[..] {
            [Manner { rule, .. }] => bench.options.rule = rule,
            _ => bench.settle(&args.goal, compute, &manners, &atlases, notes)?,
        }
        Ok(bench)
    }

    /// Takes the manner whose plan errs least in replays, of as many computed steps as the first manner takes for the goal.
    fn settle(
        &mut self,
        goal: &Goal,
        compute: f64,
        manners: &[Manner],
        atlases: &[ErrorAtlas],
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let (mut computed, mut found) = (None, Vec::new());
        let progress = bar(manners.len(), "choosing what skips stand in for");
        for manner in manners {
            let atlas = atlases.iter().find(|atlas| atlas.gate_site == manner.gate_site);
            self.atlas = atlas.context("every site was measured")?.clone();
            self.options.rule = manner.rule;
            let points = front(&self.atlas, &self.options)?;
            let computed = match computed {
                Some(computed) => computed,
                None => *computed.insert(self.choose(goal, &points, compute)?),
            };
            // Another manner may not know so few steps.
            if let Some(point) = points.iter().find(|point| point.computed >= computed) {
                let psnr = self.psnr(&self.plan(point)?)?;
                found.push((psnr, self.atlas.clone(), *manner));
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        let said: Vec<String> =
            found.iter().map(|(psnr, _, manner)| format!("{manner} {psnr:.1} dB")).collect();
        let found = found.into_iter().map(|(psnr, atlas, manner)| (psnr, (atlas, manner)));
        let (_, (atlas, manner)) = manner::preferred(found).context("a plan was replayed")?;
        notes.push(format!(
            "Skips of the least-error plan stand in for {manner}: replayed on the calibration's conditions, {}.",
            said.join(", ")
        ));
        (self.atlas, self.options.rule) = (atlas, manner.rule);
        Ok(())
    }

    /// The number of computed steps that the goal asks for.
    fn choose(&self, goal: &Goal, points: &[FrontPoint], compute: f64) -> Result<usize> {
        let steps = self.atlas.steps();
        let first = points.first().context("no step of so short a run can be skipped")?;
        let fewest = first.computed;
        let bounded = |computed: f64| (computed.floor() as usize).clamp(fewest, steps);
        if let Some(computed) = goal.compute_steps {
            ensure!(
                (fewest..=steps).contains(&computed),
                "--compute-steps is {computed}, expected {fewest} to {steps}"
            );
            return Ok(computed);
        }
        if let Some(speedup) = goal.target_speedup {
            let most = 1.0 / self.share(first)?;
            ensure!(
                (1.0..=most).contains(&speedup),
                "--target-speedup is {speedup}, expected 1 to {most:.2} (skips of at most {} steps in a row)",
                self.atlas.window
            );
            return self.within(points, 1.0 / speedup);
        }
        if let Some(wanted) = goal.max_latency {
            let middle = &points[points.len() / 2];
            let [full, skipped] = trace::step_latency(self.full, &self.plan(middle)?)?;
            let computed = (wanted - steps as f64 * skipped) / (full - skipped).max(f64::MIN_POSITIVE);
            let least = fewest as f64 * full + (steps - fewest) as f64 * skipped;
            ensure!(
                computed >= fewest as f64,
                "--max-latency is {wanted} ms; the fastest plan takes {least:.1} ms here ({full:.2} ms a computed step)"
            );
            return Ok(bounded(computed));
        }
        match goal.min_psnr {
            Some(decibels) => self.fewest_for(points, decibels),
            None => self.within(points, compute),
        }
    }

    /// FLOPs of a point's plan, relative to the full run.
    fn share(&self, point: &FrontPoint) -> Result<f64> {
        Ok(Cost::of(&self.plan(point)?, &self.full.denoiser().topology())?.compute_fraction())
    }

    /// The most computed steps that take at most this share of the full run's FLOPs, or as few as there can be.
    fn within(&self, points: &[FrontPoint], share: f64) -> Result<usize> {
        let mut computed = points.first().context("the front is not empty")?.computed;
        for point in points {
            if self.share(point)? <= share * (1.0 + 1e-9) {
                computed = point.computed;
            }
        }
        Ok(computed)
    }

    fn plan(&self, point: &FrontPoint) -> Result<CachePlan> {
        Ok(point.plan(&self.atlas, self.options.rule)?)
    }

    /// Mean square error of a real replay on the first `runs` runs.
    fn error(&self, plan: &CachePlan, closed: &ClosedLoop<D>, runs: &[Run<D, P::Cond>]) -> Result<f64> {
        let schedule = Arc::new(plan.schedule(&self.full.denoiser().topology())?);
        let errors = closed.errors(self.full.denoiser(), self.full.sampler(), runs, &schedule);
        Ok(errors.iter().sum::<f64>() / errors.len() as f64)
    }

    /// Mean PSNR of a real replay, in dB.
    fn psnr(&self, plan: &CachePlan) -> Result<f64> {
        let schedule = Arc::new(plan.schedule(&self.full.denoiser().topology())?);
        let errors = self.closed.errors(self.full.denoiser(), self.full.sampler(), &self.runs, &schedule);
        Ok(errors.iter().map(|error| self.decibels(*error)).sum::<f64>() / errors.len() as f64)
    }

    fn decibels(&self, error: f64) -> f64 {
        manner::decibels(self.full.sample_span(), error)
    }

    /// What the atlas says of a point: the errors of its skips, all in one direction.
    fn predicted(&self, point: &FrontPoint) -> f64 {
        self.decibels(point.error * point.error)
    }

    /// The fewest computed steps that keep `decibels`, by bisection over the front: more steps err less.
    fn fewest_for(&self, points: &[FrontPoint], decibels: f64) -> Result<usize> {
        let (mut low, mut high) = (0, points.len() - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.psnr(&self.plan(&points[middle])?)? >= decibels {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(points[low].computed)
    }

    /// The point itself, or refined by swaps where its replay is worse than the atlas says by more than [`MARGIN`].
    fn mend(&self, point: &FrontPoint, notes: &mut Vec<String>) -> Result<FrontPoint> {
        let (predicted, found) = (self.predicted(point), self.psnr(&self.plan(point)?)?);
        let said = format!(
            "On the calibration's conditions the least-error plan keeps {found:.1} dB in a real replay; the atlas says \
             {predicted:.1} dB"
        );
        if found >= predicted - MARGIN {
            notes.push(format!("{said} (refined only if the replay is worse by more than {MARGIN} dB)."));
            return Ok(point.clone());
        }
        let runs = &self.runs[..self.runs.len().min(SEARCH_RUNS)];
        let closed = ClosedLoop::new(self.full.denoiser(), self.full.sampler(), runs, true)?;
        let progress = bar(TRIES, "refining the plan (replays)");
        let error = |gate: &[bool]| {
            progress.inc(1);
            let moved = FrontPoint { gate: gate.to_vec(), ..point.clone() };
            self.error(&self.plan(&moved)?, &closed, runs)
        };
        let bounds = (self.options.warm_up, self.atlas.window);
        let Refined { gate, swaps, .. } = refine(&point.gate, bounds, TRIES, error)?;
        progress.finish_and_clear();
        let mended = FrontPoint { gate, ..point.clone() };
        let after = self.psnr(&self.plan(&mended)?)?;
        notes.push(format!(
            "{said}, more than {MARGIN} dB off: {swaps} computed steps were moved by replays on {} conditions, which gives \
             {after:.1} dB.",
            runs.len()
        ));
        Ok(if after > found { mended } else { point.clone() })
    }

    /// A plan of the same compute with more computed steps, in which modules are reused.
    fn with_modules(
        &self,
        plan: &CachePlan,
        points: &[FrontPoint],
        notes: &mut Vec<String>,
    ) -> Result<CachePlan> {
        let topology = self.full.denoiser().topology();
        let search = ModuleSearch::to(Cost::of(plan, &topology)?.compute_fraction());
        let computed = plan.steps() - plan.skipped_steps();
        let more = ((computed as f64 * MORE_STEPS).round() as usize).min(plan.steps());
        let start = points.iter().find(|point| point.computed == more).or(points.last());
        let start = self.plan(start.context("the front is not empty")?)?;
        let runs = &self.runs[..self.runs.len().min(SEARCH_RUNS)];
        let closed = ClosedLoop::new(self.full.denoiser(), self.full.sampler(), runs, true)?;
        let progress =
            bar(search.rounds * more * topology.kinds().len() * search.groups, "pricing modules (replays)");
        let (model, sampler) = (self.full.denoiser(), self.full.sampler());
        let found = reuse_modules(model, sampler, runs, &closed, &start, &search, &|| progress.inc(1))?;
        progress.finish_and_clear();
        let (without, with) = (self.psnr(plan)?, self.psnr(&found)?);
        let verdict = if with > without { "it pays" } else { "it does not pay" };
        notes.push(format!(
            "Module reuse planned by error, {more} steps computed and {} modules reused at the same compute: {with:.1} dB \
             against {without:.1} dB on the calibration's conditions; {verdict}.",
            found.reused_modules()
        ));
        Ok(found)
    }

    /// What a guarded run of the point goes by.
    fn guard(&self, point: &FrontPoint, share: f64) -> Guard {
        let mut computed: Vec<usize> = Vec::new();
        let mut expected = vec![None; point.gate.len()];
        for (step, skipped) in point.gate.iter().enumerate() {
            if *skipped {
                continue;
            }
            if let [.., a, b] = computed[..] {
                expected[step] = self.atlas.squared_error(self.options.rule, step, b, Some(a));
            }
            computed.push(step);
        }
        let times = match self.atlas.axis {
            invardiff_plan::TimeAxis::Step => (0..point.gate.len()).map(|step| step as f64).collect(),
            invardiff_plan::TimeAxis::Sampler => self.atlas.times.clone(),
        };
        let extra = (share * point.gate.len() as f64).floor() as usize;
        Guard { gate: point.gate.clone(), form: OutputForm::X0, times, expected, tolerance: 4.0, extra }
    }

    /// About eight points of the front, from a sixth to two thirds of the steps.
    fn check(&self, points: &[FrontPoint]) -> Result<Vec<Checked>> {
        let steps = self.atlas.steps();
        let wanted: Vec<&FrontPoint> =
            points.iter().filter(|point| (steps / 6..=2 * steps / 3).contains(&point.computed)).collect();
        let stride = wanted.len().div_ceil(8).max(1);
        let progress = bar(wanted.len().div_ceil(stride), "checking the front");
        let checked = wanted
            .into_iter()
            .step_by(stride)
            .map(|point| {
                let psnr = self.psnr(&self.plan(point)?)?;
                progress.inc(1);
                let compute_fraction = point.computed as f64 / steps as f64;
                let predicted = self.predicted(point);
                Ok(Checked { computed: point.computed, compute_fraction, psnr, predicted })
            })
            .collect();
        progress.finish_and_clear();
        checked
    }
}
