//! The measurements that methods are calibrated from; each is made once, when the first method needs it.

use std::path::PathBuf;

use invardiff::{Pipeline, Preset, adjustment_path, read_adjustment};
use invardiff_calib::{
    CalibError, Changes, Concurrency, Goal, LeastErrorOptions, RecordOptions, Run, Session, SkipPrices,
    SkipStrategy,
};
use invardiff_plan::formats::{Fit, Measurement, PlanFile};
use invardiff_plan::methods::baseline::{random_plan, uniform_gate};
use invardiff_plan::methods::block_skip::SkipRule;
use invardiff_plan::methods::first_blocks::FirstBlocks;
use invardiff_plan::methods::fora::Fora;
use invardiff_plan::methods::magcache::{Interpolation, MagCache, Magnitudes};
use invardiff_plan::methods::smoothcache::ComponentErrors;
use invardiff_plan::methods::spectrum::Spectrum;
use invardiff_plan::methods::taylorseer::TaylorSeer;
use invardiff_plan::methods::teacache::{TeaCache, TeaCacheFit};
use invardiff_plan::two_phase::{DistanceTable, Phases, Settings, Variant, two_phase};
use invardiff_plan::{CachePlan, GateSite, Kind, OutputForm, ReuseRule};
use invardiff_runtime::{Denoiser, Progress, Sampler, ScaleShift};

use super::family::{Family, PaperVariant, Part};
use super::options::MeasurementFiles;
use super::targets::Targets;
use crate::error::{Context, InSetting, Result, ensure};
use crate::fit;

/// A method at a setting, ready to draw.
pub(super) enum Ready {
    /// A plan for the bench's pipeline.
    Plan(Box<CachePlan>),
    /// A plan with scale-shift vectors that were trained for it.
    Adjusted(Box<CachePlan>, ScaleShift),
    /// A rule that decides while sampling.
    Rule(SkipRule),
}

/// The published thresholds that methods start from.
const PRESET: Preset = Preset::PaperFast;

/// The window of `SkipErrors` in steps; plans can then skip all but about an eighth of the steps.
const WINDOW: usize = 16;

/// One pipeline to calibrate methods for.
pub(super) struct Bench<'a, const D: usize, P: Pipeline<D>> {
    pipeline: &'a P,
    session: Session<'a, D, P::Model, P::Sampler>,
    seed: u64,
    progress: &'a dyn Progress,
    files: &'a MeasurementFiles,
    guided: Option<Vec<DistanceTable>>,
    unguided: Option<Vec<DistanceTable>>,
    prices: Option<SkipPrices<'a, D, P::Model, P::Sampler>>,
    strategies: Vec<(usize, SkipStrategy)>,
    changes: Option<Vec<Changes>>,
    errors: Option<ComponentErrors>,
    targets: Targets<'a, D, P>,
}

impl<'a, const D: usize, P: Pipeline<D>> Bench<'a, D, P> {
    pub(super) fn new(
        pipeline: &'a P,
        runs: &'a [Run<D, P::Cond>],
        seed: u64,
        progress: &'a dyn Progress,
        files: &'a MeasurementFiles,
        converged_steps: usize,
    ) -> Result<Self> {
        let session = pipeline.session(runs)?.with_progress(progress);
        let (guided, unguided, prices, strategies, changes, errors) =
            (None, None, None, Vec::new(), None, None);
        Ok(Self {
            pipeline,
            session,
            seed,
            progress,
            files,
            guided,
            unguided,
            prices,
            strategies,
            changes,
            errors,
            targets: Targets::new(pipeline, session, converged_steps),
        })
    }

    /// The pipeline without a plan.
    pub(super) fn pipeline(&self) -> &'a P {
        self.pipeline
    }

    /// The number of calibration runs.
    pub(super) fn runs(&self) -> usize {
        self.session.runs().len()
    }

    /// Measurements that are read instead of made.
    pub(super) fn files(&self) -> &'a MeasurementFiles {
        self.files
    }

    /// Calibrates a family at a setting.
    pub(super) fn ready(&mut self, family: &Family, value: f64) -> Result<Ready> {
        let (topology, steps) = (self.pipeline.denoiser().topology(), self.pipeline.sampler().steps());
        let count = value as usize;
        let variant = self.pipeline.variant();
        // This setting has one quantile for all streams.
        let (gate, modules) = (PRESET.gate_quantile(variant), PRESET.quantile(variant, Kind::MSA));
        let plan = match family {
            Family::FewerSteps(_) => CachePlan::empty(&topology, steps),
            Family::Times(sampler) => self.targets.solver(*sampler, count)?,
            Family::Fitted(target) => self.targets.fitted(*target, count)?,
            Family::Random => {
                let like = CachePlan::gate_only(&topology, uniform_gate(steps, count)?);
                random_plan(&topology, &like, self.seed)?
            }
            Family::Uniform => CachePlan::gate_only(&topology, uniform_gate(steps, count)?),
            Family::Extrapolated => CachePlan::gate_only(&topology, uniform_gate(steps, count)?)
                .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Extrapolate(1)),
            Family::Paper(check) => self.paper(*check, self.session.runs().len(), (value, modules), None)?,
            Family::PaperPart(part) => self.part(*part, value)?,
            Family::PaperRuns => {
                let message = "paper-runs asks for more calibration runs than there are";
                let runs = self.session.runs().len();
                ensure!(count <= runs, "{message} ({count} of {runs})");
                self.paper(PaperVariant::Published, count, (gate, modules), None)?
            }
            Family::LeastError => self.least_error(count)?,
            Family::Spectrum => Spectrum { interval: count, ..Spectrum::default() }.plan(&topology, steps)?,
            Family::Fora => Fora { interval: count }.plan(&topology, steps)?,
            Family::SmoothCache => self.component_errors()?.schedule(value).plan(&topology)?,
            Family::TaylorSeer(order) => {
                TaylorSeer { interval: count, order: *order, ..TaylorSeer::default() }
                    .plan(&topology, steps)?
            }
            Family::Files { paths, .. } => return self.file_plan(paths, count),
            Family::TeaCache => {
                let coefficients = self.teacache()?.coefficients;
                return Ok(Ready::Rule(SkipRule::TeaCache(TeaCache { coefficients, threshold: value })));
            }
            Family::FirstBlocks { first, last } => {
                let rule = FirstBlocks { first: *first, last: *last, ..FirstBlocks::first_block(value) };
                return Ok(Ready::Rule(SkipRule::FirstBlocks(rule)));
            }
            Family::MagCache => {
                let authors = MagCache::authors(self.magnitudes()?);
                let interpolation = Interpolation::Nearest;
                return Ok(Ready::Rule(SkipRule::MagCache(MagCache {
                    threshold: value,
                    interpolation,
                    ..authors
                })));
            }
        };
        Ok(Ready::Plan(Box::new(plan)))
    }

    /// The plan of a file, with the scale-shift vectors beside it.
    fn file_plan(&self, paths: &[PathBuf], place: usize) -> Result<Ready> {
        let path = paths.get(place.saturating_sub(1)).context("one file a setting")?;
        let topology = self.pipeline.denoiser().topology();
        let plan = PlanFile::read(path)?.plan(Some(&topology)).with_context(|| path.display().to_string())?;
        plan.check(&self.pipeline.execution()).with_context(|| path.display().to_string())?;
        let vectors = adjustment_path(path, &plan)?;
        if !vectors.exists() {
            return Ok(Ready::Plan(Box::new(plan)));
        }
        let adjustment = read_adjustment(&vectors, &plan, &topology, self.pipeline.device())?;
        Ok(Ready::Adjusted(Box::new(plan), adjustment))
    }

    /// The paper's plan from the first `runs` runs, of quantiles (step gate, modules); with `only`, all other kinds are computed.
    fn paper(
        &mut self,
        check: PaperVariant,
        runs: usize,
        (gate_quantile, modules): (f64, f64),
        only: Option<Kind>,
    ) -> Result<CachePlan> {
        let topology = self.pipeline.denoiser().topology();
        let quantile = |stream: Kind, kind: Kind| {
            let reused = only.is_none_or(|only| only == stream || only == kind);
            (stream, if reused { modules } else { 0.0 })
        };
        let variant = match check {
            PaperVariant::Published | PaperVariant::OnePhase | PaperVariant::Unguided => {
                self.pipeline.variant()
            }
            PaperVariant::FluxRules => Variant::Flux,
            PaperVariant::WanRules => Variant::Wan,
        };
        let settings = Settings {
            variant,
            gate_quantile,
            quantiles: topology.streams().into_iter().map(|(stream, kind)| quantile(stream, kind)).collect(),
            warm_up: PRESET.warm_up(self.pipeline.variant()),
            phases: if check == PaperVariant::OnePhase { Phases::One } else { Phases::Two },
        };
        let tables = self.tables(check == PaperVariant::Unguided)?;
        Ok(two_phase(&tables[..runs.min(tables.len())], &settings)?.plan(&topology)?)
    }

    fn part(&mut self, part: Part, quantile: f64) -> Result<CachePlan> {
        let runs = self.session.runs().len();
        match part {
            Part::Gate => Ok(self.paper(PaperVariant::Published, runs, (quantile, 0.0), None)?.gate_alone()),
            Part::Modules => self.paper(PaperVariant::Published, runs, (0.0, quantile), None),
            Part::Kind(kind) => {
                self.pipeline.denoiser().topology().require(kind)?;
                self.paper(PaperVariant::Published, runs, (0.0, quantile), Some(kind))
            }
        }
    }

    /// The skip strategy of each plan of least error, by its computed steps.
    pub(super) fn strategies(&self) -> &[(usize, SkipStrategy)] {
        &self.strategies
    }

    /// The plan as `calibrate` makes it, with its window; where so few steps are computed that this is too short, with the
    /// whole measured window.
    fn least_error(&mut self, computed: usize) -> Result<CachePlan> {
        let (prices, goal) = (self.prices()?, Goal::ComputedSteps(computed));
        let found = match prices.narrowed(LeastErrorOptions::default().window).plan(goal) {
            Err(CalibError::Goal { .. }) => prices.plan(goal)?,
            found => found?,
        };
        self.strategies.push((computed, found.strategy));
        Ok(found.plan)
    }

    /// The errors of skips, measured at the first call.
    fn prices(&mut self) -> Result<&SkipPrices<'a, D, P::Model, P::Sampler>> {
        if self.prices.is_none() {
            let mut options = LeastErrorOptions::default();
            options.window = WINDOW.min(self.session.steps());
            self.prices = Some(self.session.price_skips(&options)?);
        }
        self.prices.as_ref().context("they were just measured")
    }

    /// Distances of every run, measured with guidance or on the conditional half alone.
    fn tables(&mut self, conditional: bool) -> Result<&[DistanceTable]> {
        let kept = if conditional { &mut self.unguided } else { &mut self.guided };
        if kept.is_none() {
            let half = if conditional { self.pipeline.unguided() } else { None };
            let pipeline = match (conditional, &half) {
                (false, _) => self.pipeline,
                (true, Some(half)) => half,
                (true, None) => crate::error::bail!(
                    "paper-unguided: the guidance of {} cannot be taken away",
                    self.pipeline.name()
                ),
            };
            let runs = pipeline.calibration_runs(self.session.runs().len(), self.seed)?;
            let steps = pipeline.sampler().steps();
            let own = pipeline.record_options();
            // High quantiles need distances over the whole run. Where that many steps of features do not fit in memory (the default
            // window takes a quarter of it), the window is as long as fits.
            let all = pipeline.concurrency() == Concurrency::Parallel;
            let module_window = if all { steps } else { steps.min(3 * own.module_window) };
            let options = RecordOptions { module_window, trunk_window: steps, similarity: false, ..own };
            let (tables, _) = pipeline.session(&runs)?.with_progress(self.progress).record(&options)?;
            *kept = Some(tables);
        }
        Ok(kept.as_deref().unwrap_or_default())
    }

    pub(super) fn teacache(&mut self) -> Result<TeaCacheFit> {
        match &self.files.teacache {
            Some(path) => self.file("teacache", path),
            None => Ok(Changes::teacache(self.changes()?)?),
        }
    }

    pub(super) fn magnitudes(&mut self) -> Result<Magnitudes> {
        match &self.files.magcache {
            Some(path) => self.file("magcache", path),
            None => Ok(Changes::magnitudes(self.changes()?)),
        }
    }

    fn changes(&mut self) -> Result<&[Changes]> {
        if self.changes.is_none() {
            self.changes = Some(self.session.changes()?);
        }
        Ok(self.changes.as_deref().unwrap_or_default())
    }

    pub(super) fn component_errors(&mut self) -> Result<ComponentErrors> {
        if self.errors.is_none() {
            let errors = if let Some(path) = &self.files.smoothcache {
                let errors: ComponentErrors = self.file("smoothcache", path)?;
                let (theirs, steps) = (errors.steps, self.pipeline.sampler().steps());
                ensure!(theirs == steps, "{}: it is for {theirs} steps, the run has {steps}", path.display());
                errors
            } else {
                self.session.component_errors(fit::lookahead(self.pipeline))?
            };
            self.errors = Some(errors);
        }
        self.errors.clone().context("it was just measured")
    }

    /// A measurement from the user's file, checked to be of the same model.
    fn file<T: Measurement>(&self, setting: &'static str, path: &std::path::Path) -> Result<T> {
        let fit = Fit::<T>::read(path).in_setting(setting)?;
        if let Some(execution) = &fit.execution {
            let (theirs, own) = (&execution.model, self.pipeline.name());
            ensure!(theirs == own, "{}: it was measured on {theirs}, not on {own}", path.display());
        }
        Ok(fit.fit)
    }
}
