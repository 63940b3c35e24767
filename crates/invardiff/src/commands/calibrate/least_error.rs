//! The plan of least error: measured skips, planned exactly, checked by a real replay.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use invardiff_calib::{AtlasOptions, ClosedLoop, Run, measure_atlas};
use invardiff_plan::{CachePlan, ErrorAtlas, FrontPoint, PlannerOptions, Provenance, front};
use invardiff_runtime::{Denoiser, Sampler};

use super::Args;
use super::measure;
use crate::{Pipeline, bar};

/// Runs that the atlas is measured and checked on, at most.
const RUNS: usize = 8;

/// What a user wants of a plan.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub(super) struct Goal {
    /// Make the plan of least error that is this many times faster, instead of the published rule's
    #[arg(long, value_name = "X")]
    target_speedup: Option<f64>,
    /// Make the plan of least error that computes this many steps
    #[arg(long, value_name = "N")]
    compute_steps: Option<usize>,
    /// Make the fastest plan of least error whose pictures keep this mean PSNR to the full run (in dB, on the
    /// calibration's own conditions)
    #[arg(long, value_name = "DB")]
    min_psnr: Option<f64>,
}

impl Goal {
    /// Whether a plan of least error was asked for.
    pub(super) fn is_set(&self) -> bool {
        self.target_speedup.is_some() || self.compute_steps.is_some() || self.min_psnr.is_some()
    }
}

/// A point of the front as a real replay found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    /// How many steps are computed.
    pub(super) computed: usize,
    /// FLOPs relative to the full run.
    pub(super) compute_fraction: f64,
    /// Mean PSNR to the full run on the calibration's conditions, in dB.
    pub(super) psnr: f64,
}

/// The front of least-error plans, and the one chosen.
pub(super) struct LeastError {
    /// Some of the front, checked.
    pub(super) checked: Vec<Checked>,
    /// The chosen plan.
    pub(super) plan: CachePlan,
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
    let steps = full.sampler().steps();
    let bench = Bench::new(args, full, like)?;
    let points = front(&bench.atlas, &bench.options)?;
    let fewest = points.first().context("no step of so short a run can be skipped")?.computed;
    let bounded = |computed: f64| (computed.floor() as usize).clamp(fewest, steps);
    let computed = match args.goal {
        Goal { compute_steps: Some(computed), .. } => {
            ensure!(
                (fewest..=steps).contains(&computed),
                "--compute-steps is {computed}, expected {fewest} to {steps}"
            );
            computed
        }
        Goal { target_speedup: Some(speedup), .. } => {
            let most = steps as f64 / fewest as f64;
            ensure!(
                (1.0..=most).contains(&speedup),
                "--target-speedup is {speedup}, expected 1 to {most:.2} (skips of at most {} steps in a row)",
                bench.atlas.window
            );
            bounded(steps as f64 / speedup)
        }
        Goal { min_psnr: Some(decibels), .. } => bench.fewest_for(&points, decibels)?,
        Goal { .. } => bounded(compute * steps as f64),
    };
    let chosen = points
        .iter()
        .find(|point| point.computed == computed)
        .context("the front has every number of steps")?;
    let (plan, checked) = (bench.plan(chosen)?, bench.check(&points)?);
    Ok(LeastError { checked, plan, atlas: bench.atlas })
}

impl<'a, const D: usize, P: Pipeline<D>> Bench<'a, D, P> {
    fn new(args: &Args, full: &'a P, like: &Provenance) -> Result<Self> {
        let mut runs = measure::runs(args, full)?;
        runs.truncate(RUNS);
        let progress = bar(runs.len(), "pricing skips (runs)");
        let options = AtlasOptions::default();
        let mut atlas = measure_atlas(full.denoiser(), full.sampler(), &runs, &options, &|| progress.inc(1))?;
        progress.finish_and_clear();
        let closed = ClosedLoop::new(full.denoiser(), full.sampler(), &runs, true)?;
        atlas.provenance = Provenance { thresholds: Vec::new(), ..like.clone() };
        let warm_up = args.warm_up.unwrap_or_default().max(PlannerOptions::default().warm_up);
        Ok(Self {
            full,
            runs,
            atlas,
            options: PlannerOptions { warm_up, ..PlannerOptions::default() },
            closed,
        })
    }

    fn plan(&self, point: &FrontPoint) -> Result<CachePlan> {
        Ok(point.plan(&self.atlas, self.options.rule)?)
    }

    /// Mean PSNR of a real replay, in dB.
    fn psnr(&self, point: &FrontPoint) -> Result<f64> {
        let schedule = Arc::new(self.plan(point)?.schedule(&self.full.denoiser().topology())?);
        let errors = self.closed.errors(self.full.denoiser(), self.full.sampler(), &self.runs, &schedule);
        let range = self.full.sample_span();
        let decibels = errors.iter().map(|error| 10.0 * (range * range / error.max(1e-10)).log10());
        Ok(decibels.sum::<f64>() / errors.len() as f64)
    }

    /// The fewest computed steps that keep `decibels`, by bisection over the front: more steps err less.
    fn fewest_for(&self, points: &[FrontPoint], decibels: f64) -> Result<usize> {
        let (mut low, mut high) = (0, points.len() - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.psnr(&points[middle])? >= decibels {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(points[low].computed)
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
                let psnr = self.psnr(point)?;
                progress.inc(1);
                let compute_fraction = point.computed as f64 / steps as f64;
                Ok(Checked { computed: point.computed, compute_fraction, psnr })
            })
            .collect();
        progress.finish_and_clear();
        checked
    }
}
