//! From a goal to a fitted plan: times chosen exactly over a Gram atlas, weights fitted in closed form on the run's own
//! trajectory, and the choice among candidates on conditions that were kept out of the fit.

mod closed_fit;
mod options;
mod polish;
mod search;
mod solver;
mod target;
mod trail;

pub use closed_fit::ClosedFit;
pub use options::{FitOptions, FittedOptions, Polish};
pub use search::{Tried, Weighting};
pub use solver::Multistep;

pub use target::TargetRecord;

use invardiff_plan::core::{FitRecord, Target};
use invardiff_plan::fitted::GramAtlas;
use invardiff_plan::{CachePlan, GateSite, OutputForm, Provenance, ReuseRule, Site};
use invardiff_runtime::Sampler;

use crate::error::CalibError;
use crate::least_error::Goal;
use crate::session::{Session, SharedDenoiser};
use search::{Best, Search};

/// A fitted plan, and how it was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fitted {
    /// The plan: its own times, a row of weights for each, and the record of the fit.
    pub plan: CachePlan,
    /// What was tried, in order; the plan is the best of it.
    pub tried: Vec<Tried>,
    /// Which of `tried` the plan is.
    pub chosen: usize,
    /// The inner products that times were chosen from: other plans can be planned from it without the model.
    pub atlas: GramAtlas,
}

impl Fitted {
    /// The times that were tried, as candidate points, each once.
    pub fn times(&self) -> Vec<Vec<usize>> {
        let mut times: Vec<Vec<usize>> = Vec::new();
        for tried in &self.tried {
            if !times.contains(&tried.points) {
                times.push(tried.points.clone());
            }
        }
        times
    }
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'_, D, M, S> {
    /// The fitted plan that reaches `goal`, towards the trajectories of `sampler`: the session's own sampler for
    /// [`Target::Own`], many steps of a good solver for [`Target::Converged`].
    ///
    /// PSNR in a goal is that of samples to the target's.
    ///
    /// # Errors
    /// [`CalibError::Goal`] when no plan reaches the goal; else as [`Session::record_target`].
    pub fn fitted<T: Sampler<D> + Sync>(
        self,
        goal: Goal,
        target: Target,
        sampler: &T,
        options: &FittedOptions,
    ) -> Result<Fitted, CalibError> {
        self.record_target(target, sampler, options)?.plan(goal)
    }
}

impl<const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> TargetRecord<'_, D, M, S> {
    /// The fitted plan that reaches `goal`.
    ///
    /// # Errors
    /// [`CalibError::Goal`] when no plan reaches the goal.
    pub fn plan(&self, goal: Goal) -> Result<Fitted, CalibError> {
        let search = Search::new(self)?;
        let Best { fit, index, tried } = search.best(search.evaluations(goal)?);
        let plan = self.assemble(fit, &tried[index])?;
        Ok(Fitted { plan, tried, chosen: index, atlas: self.atlas().clone() })
    }

    /// A solver with its own weights as a plan of so many evaluations, at the best of the times of every front and of `more`
    /// (candidate points, as [`Tried::points`] has them), chosen by replays: what a fitted plan has to beat.
    ///
    /// # Errors
    /// [`CalibError::Goal`] for a number of evaluations that there are no times for; [`CalibError::Runtime`] for a solver that
    /// there is not.
    pub fn solver(
        &self,
        solver: Multistep,
        evaluations: usize,
        more: &[Vec<usize>],
    ) -> Result<CachePlan, CalibError> {
        solver.rows(&[])?;
        let search = Search::new(self)?;
        let evaluations = search.evaluations(Goal::ComputedSteps(evaluations))?;
        let (fit, tried) = search.best_of(solver, evaluations, more);
        self.assemble(fit, &tried)
    }

    /// A fit as a plan.
    fn assemble(&self, fit: ClosedFit, tried: &Tried) -> Result<CachePlan, CalibError> {
        let topology = self.session().model().topology();
        let options = self.options();
        let record = FitRecord {
            target: self.atlas().target,
            target_steps: self.atlas().target_steps,
            fitted_on: self.fitted_on(),
            chosen_on: self.session().runs().len() - self.fitted_on(),
            ridge: match tried.weights {
                Weighting::Fitted(fit) => fit.ridge,
                Weighting::Solver(_) | Weighting::Polished { .. } => 0.0,
            },
            residuals: fit.residuals,
        };
        let method = match tried.weights {
            Weighting::Fitted(_) | Weighting::Polished { .. } => "fitted".to_owned(),
            Weighting::Solver(solver) => format!("{solver} at fitted times"),
        };
        let provenance = Provenance { method, thresholds: Vec::new(), ..options.provenance.clone() };
        let plan = CachePlan::empty(&topology, fit.rows.len())
            .with_gate_rule(GateSite::Output(OutputForm::X0), ReuseRule::Hold)
            .with_weights(Site::OUTPUT, fit.rows)?
            .with_grid(fit.grid)?
            .with_fit(record)?;
        Ok(plan.with_provenance(provenance))
    }
}
