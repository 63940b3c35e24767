//! The measurements: the calibration, its plans, and step times under the chosen plan.

use std::sync::Arc;
use std::time::Instant;

use crate::progress::Bars;
use anyhow::{Context, Result};
use invardiff::Pipeline;
use invardiff_calib::{LeastError, Outcome};
use invardiff_plan::core::{Calibration, Fitted as Budgeted, fit_to_budget};
use invardiff_plan::two_phase::Settings;
use invardiff_plan::{CachePlan, Cost, Schedule};
use invardiff_runtime::Denoiser;

use super::fitted::FittedPlan;
use super::trace::{Trace, trace};
use super::{Args, fitted, least_error, settings};

/// The measurements.
pub(super) struct Measured {
    /// The published rule's plan and everything behind it.
    pub(super) paper: Outcome,
    /// What was dropped to fit that plan to the memory budget, where there is one.
    pub(super) budgeted: Option<Budgeted>,
    /// The plan of least error.
    pub(super) least: LeastError,
    /// The fitted plan, where one was made.
    pub(super) fitted: Option<FittedPlan>,
    /// Which of the plans was asked for, or won.
    pub(super) wanted: PlanRule,
    /// How long the calibration took, in seconds.
    pub(super) seconds: f64,
    /// Step times and cache bytes of one image, full and under the plan.
    pub(super) trace: Trace,
}

/// Which plan a calibration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlanRule {
    /// The published rule's.
    Paper,
    /// The one of least error.
    LeastError,
    /// The fitted one.
    Fitted,
}

impl Measured {
    /// The plan that was asked for.
    pub(super) fn plan(&self) -> &CachePlan {
        match (self.wanted, &self.fitted) {
            (PlanRule::Fitted, Some(fitted)) => &fitted.found.plan,
            (PlanRule::LeastError, _) => &self.least.plan,
            (PlanRule::Paper | PlanRule::Fitted, _) => &self.paper.plan,
        }
    }
}

/// Calibrates and traces.
pub(super) fn measure<const D: usize, P: Pipeline<D>>(args: &Args, full: &P) -> Result<Measured> {
    let asked = args.wanted()?;
    let settings = settings(args, full)?;
    let start = Instant::now();
    let mut paper = calibrate_on(args, full, &settings)?;
    let seconds = start.elapsed().as_secs_f64();
    let provenance = &mut paper.plan.provenance;
    provenance.tool = concat!("invardiff ", env!("CARGO_PKG_VERSION")).into();
    provenance.execution = Some(full.execution());
    let origin = full.calibration_origin(args.runs(full), args.seed);
    provenance.calibration = Some(Calibration {
        guidance_scale: origin.guidance_scale.filter(|_| !args.calibrate_unguided),
        ..origin
    });
    let topology = full.denoiser().topology();
    let compute = Cost::of(&paper.plan, &topology)?.compute_fraction();
    let least = least_error::plan(args, full, compute, &paper.plan.provenance)?;
    let storage = args.means.storage();
    let budgeted = args
        .means
        .budget()
        .map(|budget| {
            let bytes =
                |schedule: &Schedule| schedule.clone().storing(storage).peak_bytes(1, full.dtype().size());
            let fitted = fit_to_budget(&paper.plan, &topology, budget, bytes).context("--cache-budget")?;
            paper.plan = fitted.plan.clone();
            Ok::<_, anyhow::Error>(fitted)
        })
        .transpose()?;
    let fitted = matches!(asked, None | Some(PlanRule::Fitted))
        .then(|| fitted::plan(args, full, &least.plan, compute, &paper.plan.provenance))
        .transpose()?;
    let wanted = match (asked, &fitted) {
        (Some(rule), _) => rule,
        (None, Some(fitted)) if fitted.wins => PlanRule::Fitted,
        (None, _) => PlanRule::LeastError,
    };
    let plan = match (&fitted, wanted) {
        (Some(fitted), PlanRule::Fitted) => &fitted.found.plan,
        (_, PlanRule::LeastError) => &least.plan,
        (_, PlanRule::Paper | PlanRule::Fitted) => &paper.plan,
    };
    let schedule = Arc::new(plan.schedule(&topology)?.storing(storage));
    let trace = trace(full, &schedule, args.seed.wrapping_add(args.runs(full) as u64))?;
    Ok(Measured { paper, budgeted, least, fitted, wanted, seconds, trace })
}

fn calibrate_on<const D: usize, P: Pipeline<D>>(
    args: &Args,
    full: &P,
    settings: &Settings,
) -> Result<Outcome> {
    let pipeline = if args.calibrate_unguided {
        full.unguided().with_context(|| {
            format!("--calibrate-unguided: the guidance of {} is part of the network", full.name())
        })?
    } else {
        full.clone()
    };
    let runs = pipeline.calibration_runs(args.runs(full), args.seed)?;
    let bars = Bars::default();
    Ok(pipeline.session(&runs)?.with_progress(&bars).two_phase(settings, &full.record_options())?)
}
