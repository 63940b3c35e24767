//! Fitted plans, and solvers at the times that suit them best.

use invardiff::{Pipeline, SamplerKind};
use invardiff_calib::{FittedOptions, Goal, Multistep, Session, TargetRecord};
use invardiff_plan::CachePlan;
use invardiff_plan::core::Target;

use crate::error::{Context, Result, ensure};

/// The most runs that plans are fitted and chosen on.
const RUNS: usize = 12;
/// The most steps of the converged trajectory that plans are fitted towards.
const STEPS: usize = 250;

/// The trajectories that plans are fitted towards, each recorded when the first plan needs it.
pub(super) struct Targets<'a, const D: usize, P: Pipeline<D>> {
    pipeline: &'a P,
    session: Session<'a, D, P::Model, P::Sampler>,
    own: Option<TargetRecord<'a, D, P::Model, P::Sampler>>,
    converged: Option<TargetRecord<'a, D, P::Model, P::Sampler>>,
    /// The times that were tried for plans towards the converged trajectory, by their number of evaluations.
    tried: Vec<(usize, Vec<Vec<usize>>)>,
    /// Steps of the converged trajectory; 0 where there is none.
    steps: usize,
}

impl<'a, const D: usize, P: Pipeline<D>> Targets<'a, D, P> {
    pub(super) fn new(
        pipeline: &'a P,
        session: Session<'a, D, P::Model, P::Sampler>,
        converged_steps: usize,
    ) -> Self {
        let (own, converged, tried) = (None, None, Vec::new());
        let (session, steps) = (session.first(RUNS), converged_steps.min(STEPS));
        Self { pipeline, session, own, converged, tried, steps }
    }

    /// The plan fitted towards a target, of so many evaluations.
    pub(super) fn fitted(&mut self, target: Target, evaluations: usize) -> Result<CachePlan> {
        let found = self.record(target)?.plan(Goal::ComputedSteps(evaluations))?;
        if target == Target::Converged {
            self.tried.push((evaluations, found.times()));
        }
        Ok(found.plan)
    }

    /// A solver with its own weights at the times that suit it best: those of the fronts, and all that were tried for a fitted plan
    /// of as many evaluations.
    pub(super) fn solver(&mut self, sampler: SamplerKind, evaluations: usize) -> Result<CachePlan> {
        ensure!(self.pipeline.solvers().contains(&sampler), "the model is not sampled with {sampler}");
        let solver = match sampler {
            SamplerKind::Ddim | SamplerKind::FlowMatchEuler => Multistep::FirstOrder,
            SamplerKind::DpmSolverPlusPlus => Multistep::DpmSolverPlusPlus,
            SamplerKind::UniPc => Multistep::UniPc(2),
            SamplerKind::UniPc3 => Multistep::UniPc(3),
        };
        let known = self.tried.iter().filter(|(count, _)| *count == evaluations);
        let times: Vec<Vec<usize>> = known.flat_map(|(_, times)| times.clone()).collect();
        let target = if self.steps > 0 { Target::Converged } else { Target::Own };
        Ok(self.record(target)?.solver(solver, evaluations, &times)?)
    }

    fn record(&mut self, target: Target) -> Result<&TargetRecord<'a, D, P::Model, P::Sampler>> {
        let mut options = FittedOptions::default();
        options.kept_out = self.session.runs().len() / 3;
        let slot = match target {
            Target::Own => &mut self.own,
            Target::Converged => &mut self.converged,
        };
        if slot.is_none() {
            *slot = Some(match target {
                Target::Own => self.session.record_target(target, self.pipeline.sampler(), &options)?,
                Target::Converged => {
                    let solver = self.pipeline.solvers().last().filter(|_| self.steps > 0);
                    let solver = solver.context("there are no --converged-steps to fit towards")?;
                    let exact = self.pipeline.with_sampler(*solver, self.steps)?;
                    self.session.record_target(target, exact.sampler(), &options)?
                }
            });
        }
        slot.as_ref().context("it was just recorded")
    }
}
