//! From a goal to the plan of least error: skips priced along uncached trajectories, planned exactly, checked by replays.

mod found;
mod options;
mod planner;
mod refine;
mod strategy;

pub use found::{CheckedPoint, Refinement, Replayed, WithModules};
pub use options::{CacheBudget, Goal, LeastErrorOptions};
pub use strategy::SkipStrategy;

use invardiff_plan::least_error::{PlannerOptions, SkipErrors, front};
use invardiff_plan::{CachePlan, GateSite, Provenance};
use invardiff_runtime::{Guard, Sampler};

use crate::atlas::AtlasOptions;
use crate::closed_loop::ClosedLoop;
use crate::error::CalibError;
use crate::session::{Session, SharedDenoiser};
use found::nothing_to_skip;
use planner::Planner;

/// The plan of least error for a goal, and how it was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeastError {
    /// The plan.
    pub plan: CachePlan,
    /// How its skipped steps get their values.
    pub strategy: SkipStrategy,
    /// The mean PSNR of every strategy that was tried, in dB to the full run; empty where one alone was allowed.
    pub tried: Vec<(SkipStrategy, f64)>,
    /// The replay of the planned gate, and its refinement.
    pub replayed: Replayed,
    /// Points of the front that were replayed too; empty unless [`LeastErrorOptions::check_front`] asks for them.
    pub checked: Vec<CheckedPoint>,
    /// The plan of the same compute that also reuses modules; `None` unless [`LeastErrorOptions::plan_modules`] asks for it.
    pub modules: Option<WithModules>,
    /// The errors of all skips of the strategy: other plans can be made from them without the model.
    pub atlas: SkipErrors,
    /// The settings of a guarded run; `None` unless [`LeastErrorOptions::guard`] asks for it.
    pub guard: Option<Guard>,
}

/// What every possible skip costs, and the uncached samples that replays are held against: everything that plans of least
/// error are made from, for any number of goals.
pub struct SkipPrices<'a, const D: usize, M: SharedDenoiser<D>, S> {
    closed: ClosedLoop<'a, D, M, S>,
    /// One per gate site of the strategies.
    atlases: Vec<SkipErrors>,
    options: LeastErrorOptions,
}

impl<'a, const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'a, D, M, S> {
    /// The plan of least error that reaches `goal`: skips are priced along the uncached trajectories of the first
    /// [`LeastErrorOptions::runs`] runs, the gate is planned exactly by [`front`], the strategy is the one that errs least in
    /// replays, and a gate whose replay falls short of the prediction is refined by moving computed steps.
    ///
    /// # Errors
    /// [`CalibError::Goal`] when no plan reaches the goal; else as [`Session::price_skips`].
    pub fn least_error(self, goal: Goal, options: &LeastErrorOptions) -> Result<LeastError, CalibError> {
        self.price_skips(options)?.plan(goal)
    }

    /// Prices every possible skip for the strategies of `options`, and samples the same runs in full.
    ///
    /// # Errors
    /// [`CalibError::Goal`] for options without a strategy or with a guard that is no share; else as
    /// [`Session::skip_errors`].
    pub fn price_skips(self, options: &LeastErrorOptions) -> Result<SkipPrices<'a, D, M, S>, CalibError> {
        options.check()?;
        let session = self.first(options.runs);
        let atlas = AtlasOptions::default().with_axis(options.axis).with_window(options.window);
        let atlases = session.skip_errors_at(&SkipStrategy::sites(&options.strategies), &atlas)?;
        let provenance = Provenance { thresholds: Vec::new(), ..options.provenance.clone() };
        let atlases = atlases.into_iter().map(|atlas| atlas.with_provenance(provenance.clone())).collect();
        Ok(SkipPrices { closed: session.closed_loop(), atlases, options: options.clone() })
    }
}

impl<'a, const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> SkipPrices<'a, D, M, S> {
    /// The errors of skips at a site; `None` where no strategy of the options acts there.
    pub fn atlas(&self, site: GateSite) -> Option<&SkipErrors> {
        self.atlases.iter().find(|atlas| atlas.gate_site() == site)
    }

    /// The runs and their uncached samples.
    pub fn closed_loop(&self) -> &ClosedLoop<'a, D, M, S> {
        &self.closed
    }

    /// The same with anchors at most `window` steps away, as if so few had been measured.
    pub fn narrowed(&self, window: usize) -> Self {
        let atlases = self.atlases.iter().map(|atlas| atlas.narrowed(window)).collect();
        let options = LeastErrorOptions { window: window.min(self.options.window), ..self.options.clone() };
        Self { closed: self.closed.first(usize::MAX), atlases, options }
    }

    /// The plan of least error for a goal.
    ///
    /// # Errors
    /// [`CalibError::Goal`] when no plan reaches the goal.
    pub fn plan(&self, goal: Goal) -> Result<LeastError, CalibError> {
        let topology = self.closed.session().model().topology();
        let (strategy, tried) = self.choose_strategy(goal)?;
        let planner = self.planner(strategy);
        let points = front(planner.atlas, &planner.options)?;
        let computed = planner.choose(goal, &points)?;
        let point = points.iter().find(|point| point.computed == computed).ok_or_else(nothing_to_skip)?;
        let (point, replayed) = planner.refined(point)?;
        let plan = planner.plan(&point)?;
        self.options.check_budget(&plan.schedule(&topology)?)?;
        Ok(LeastError {
            modules: self.options.plan_modules.then(|| planner.with_modules(&plan, &points)).transpose()?,
            checked: if self.options.check_front { planner.check(&points)? } else { Vec::new() },
            guard: self.options.guard.map(|share| planner.guard(&point, share)).transpose()?,
            atlas: planner.atlas.clone(),
            plan,
            strategy,
            tried,
            replayed,
        })
    }

    /// The strategy whose plan errs least in replays, of as many computed steps as the first strategy takes for the goal;
    /// and the mean PSNR of each.
    fn choose_strategy(&self, goal: Goal) -> Result<(SkipStrategy, Vec<(SkipStrategy, f64)>), CalibError> {
        if let [only] = self.options.strategies[..] {
            return Ok((only, Vec::new()));
        }
        let topology = self.closed.session().model().topology();
        let phase =
            self.closed.session().phase("choosing what skips stand in for", self.options.strategies.len());
        let (mut computed, mut tried, mut over_budget) = (None, Vec::new(), None);
        for strategy in &self.options.strategies {
            let planner = self.planner(*strategy);
            let points = front(planner.atlas, &planner.options)?;
            let computed = match computed {
                Some(computed) => computed,
                None => *computed.insert(planner.choose(goal, &points)?),
            };
            // Another strategy may not know so few steps.
            if let Some(point) = points.iter().find(|point| point.computed >= computed) {
                let plan = planner.plan(point)?;
                match self.options.check_budget(&plan.schedule(&topology)?) {
                    Ok(()) => tried.push((*strategy, self.closed.mean_psnr(&plan)?)),
                    Err(error) => over_budget = Some(error),
                }
            }
            phase.advance(1);
        }
        let best = SkipStrategy::preferred(&tried);
        best.map(|best| (best, tried)).ok_or_else(|| over_budget.unwrap_or_else(nothing_to_skip))
    }

    fn planner(&self, strategy: SkipStrategy) -> Planner<'_, 'a, D, M, S> {
        let atlas = self.atlas(strategy.gate_site).expect("the site of every strategy was priced");
        let default = PlannerOptions::default();
        let warm_up = self.options.warm_up.max(default.warm_up);
        let options = default.with_rule(strategy.rule).with_warm_up(warm_up);
        Planner { closed: &self.closed, atlas, options }
    }
}
