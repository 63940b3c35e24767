//! Target trajectories at candidate times, and their inner products.

use burn::tensor::{DType, Tensor};
use invardiff_plan::OutputForm;
use invardiff_plan::core::{Target, TimeGrid, TimePoint};
use invardiff_plan::fitted::{ConditionGram, GramAtlas};
use invardiff_runtime::{Denoiser, Full, Policy, Sampler};

use super::options::FittedOptions;
use crate::error::CalibError;
use crate::run::Run;
use crate::session::{Session, SharedDenoiser};

/// One target trajectory at the candidate points, on the host: the values of all images of the run, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Trajectory {
    /// The clean sample that the network predicts at each point.
    pub(crate) outputs: Vec<Vec<f32>>,
    /// The sample at each point, and the finished one.
    pub(crate) states: Vec<Vec<f32>>,
}

/// The target trajectories of a session's runs, from which fitted plans are made for any number of goals.
pub struct TargetRecord<'a, const D: usize, M: SharedDenoiser<D>, S> {
    session: Session<'a, D, M, S>,
    trajectories: Vec<Trajectory>,
    atlas: GramAtlas,
    options: FittedOptions,
}

impl<'a, const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'a, D, M, S> {
    /// Samples every run by the target's `sampler` and keeps what fitting needs: at most [`FittedOptions::candidates`] outputs
    /// and states per run ([`Session::target_bytes`]), and their inner products.
    ///
    /// # Errors
    /// [`CalibError::Runtime`] for a stochastic sampler; [`CalibError::Goal`] for options without a pricing, a fit or a candidate.
    pub fn record_target<T: Sampler<D> + Sync>(
        self,
        target: Target,
        sampler: &T,
        options: &FittedOptions,
    ) -> Result<TargetRecord<'a, D, M, S>, CalibError> {
        sampler.deterministic()?;
        check(options)?;
        let kept = candidates(sampler.steps(), options.candidates.min(GramAtlas::MAX_POINTS));
        let point = |step: &usize| {
            let level = sampler.noise_level(*step);
            TimePoint { time: sampler.time(*step), alpha: level.alpha, sigma: level.sigma }
        };
        let points = kept.iter().map(point).collect();
        let recorded = self.each_run("recording the target (runs)", |run| {
            let trajectory = follow(self.model, sampler, run, &kept);
            let gram = trajectory.gram();
            (trajectory, gram)
        });
        let (trajectories, conditions): (Vec<Trajectory>, Vec<ConditionGram>) = recorded.into_iter().unzip();
        let atlas = GramAtlas {
            topology: self.model.topology(),
            provenance: options.provenance.clone(),
            target,
            target_steps: sampler.steps(),
            candidates: TimeGrid { instead_of: self.steps(), points },
            elements: trajectories[0].states[0].len(),
            conditions,
        };
        Ok(TargetRecord { session: self, trajectories, atlas, options: options.clone() })
    }

    /// Bytes that [`Session::record_target`] keeps for a target's sampler of `target_steps` steps: trajectories in f32 and their
    /// inner products in f64.
    pub fn target_bytes(&self, target_steps: usize, options: &FittedOptions) -> usize {
        let points = candidates(target_steps, options.candidates.min(GramAtlas::MAX_POINTS)).len();
        let elements: usize = self.runs[0].noise.dims().iter().product();
        let trajectory = (2 * points + 1) * elements * size_of::<f32>();
        self.runs.len() * trajectory + GramAtlas::bytes(points, self.runs.len())
    }
}

impl<'a, const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> TargetRecord<'a, D, M, S> {
    /// What is fitted on.
    pub fn session(&self) -> &Session<'a, D, M, S> {
        &self.session
    }

    /// The inner products of the trajectories.
    pub fn atlas(&self) -> &GramAtlas {
        &self.atlas
    }

    /// How plans are made.
    pub fn options(&self) -> &FittedOptions {
        &self.options
    }

    /// How many runs are fitted on: the first ones.
    pub fn fitted_on(&self) -> usize {
        self.session.runs.len().saturating_sub(self.options.kept_out).max(1)
    }

    pub(super) fn trajectories(&self) -> &[Trajectory] {
        &self.trajectories
    }
}

impl Trajectory {
    fn gram(&self) -> ConditionGram {
        let outputs: Vec<&[f32]> = self.outputs.iter().map(Vec::as_slice).collect();
        let states: Vec<&[f32]> = self.states.iter().map(Vec::as_slice).collect();
        ConditionGram::of(&outputs, &states)
    }
}

/// There is something to choose among.
fn check(options: &FittedOptions) -> Result<(), CalibError> {
    let parts = [
        ("the number of pricings", options.pricings.len(), 1),
        ("the number of ways to fit", options.fits.len(), 1),
        ("the number of candidate times", options.candidates, 2),
    ];
    match parts.into_iter().find(|(_, count, least)| count < least) {
        None => Ok(()),
        Some((goal, count, least)) => {
            Err(CalibError::Goal { goal, value: count.to_string(), expected: format!("at least {least}") })
        }
    }
}

/// At most `most` of `steps` steps, rising: the first, evenly spread ones, and the last few all.
fn candidates(steps: usize, most: usize) -> Vec<usize> {
    if steps <= most {
        return (0..steps).collect();
    }
    let last = (most / 8).min(8);
    let even = most - last;
    let spread = (steps - last) as f64 / even as f64;
    let mut kept: Vec<usize> = (0..even).map(|at| (at as f64 * spread).floor() as usize).collect();
    kept.extend(steps - last..steps);
    kept
}

fn follow<const D: usize, M, T>(model: &M, sampler: &T, run: &Run<D, M::Cond>, kept: &[usize]) -> Trajectory
where
    M: Denoiser<D>,
    T: Sampler<D>,
{
    let mut history = sampler.start();
    let mut x = run.noise.clone();
    let mut trajectory = Trajectory { outputs: Vec::new(), states: Vec::new() };
    for step in 0..sampler.steps() {
        let prediction = model.predict(&mut Full.step(step), x.clone(), sampler.time(step), &run.cond);
        if kept.binary_search(&step).is_ok() {
            let clean = sampler.to_form(step, x.clone(), prediction.clone(), OutputForm::X0);
            trajectory.outputs.push(host(clean));
            trajectory.states.push(host(x.clone()));
        }
        x = sampler.advance(&mut history, step, x, prediction);
    }
    trajectory.states.push(host(x));
    trajectory
}

/// The values of a tensor on the host.
pub(super) fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.cast(DType::F32).into_data().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_begin_with_the_first_step_and_end_with_the_last_ones() {
        assert_eq!(candidates(5, 10), [0, 1, 2, 3, 4]);
        for (steps, most) in [(250, 128), (50, 49), (1000, 128), (20, 2)] {
            let kept = candidates(steps, most);
            assert_eq!(kept.len(), most);
            assert!(kept[0] == 0 && kept.is_sorted_by(|a, b| a < b), "{steps} {most}: {kept:?}");
            assert!(*kept.last().unwrap() < steps);
        }
        assert!(candidates(250, 128).ends_with(&[247, 248, 249]));
    }
}
