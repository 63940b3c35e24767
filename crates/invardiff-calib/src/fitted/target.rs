//! Target trajectories at candidate times, and their inner products.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use invardiff_plan::core::{Target, TimeGrid, TimePoint};
use invardiff_plan::fitted::{ConditionGram, GramAtlas};
use invardiff_plan::{CachePlan, OutputForm};
use invardiff_runtime::{Denoiser, Full, Policy, Replay, Sampler, sample};

use super::options::FittedOptions;
use super::solver::Multistep;
use crate::error::CalibError;
use crate::run::Run;
use crate::session::{Session, SharedDenoiser};

/// One target trajectory at the candidate points, on the host: the values of all images of the run, one after the other. The
/// outputs there are dropped once their inner products are known.
#[derive(Clone, Debug)]
pub(crate) struct Trajectory {
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
    /// Samples every run by the target's `sampler` and keeps what fitting needs: the samples at no more than
    /// [`FittedOptions::candidates`] times per run, and inner products ([`Session::target_bytes`]). The network's outputs at these
    /// times are held for the runs that are sampled at the moment alone.
    ///
    /// # Errors
    /// [`CalibError::Runtime`] for a stochastic sampler; [`CalibError::Goal`] for options without a pricing, a fit or a candidate, or
    /// with a prior that is no solver.
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
            let (outputs, states) = follow(self.model, sampler, run, &kept);
            let gram = ConditionGram::of(&slices(&outputs), &slices(&states));
            (Trajectory { states }, gram)
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

    /// Bytes that [`Session::record_target`] holds at most for a target's sampler of `target_steps` steps: samples of all runs and
    /// outputs of those that are sampled at once, in f32, and inner products in f64.
    pub fn target_bytes(&self, target_steps: usize, options: &FittedOptions) -> usize {
        let points = candidates(target_steps, options.candidates.min(GramAtlas::MAX_POINTS)).len();
        let elements: usize = self.runs[0].noise.dims().iter().product();
        let runs = self.runs.len();
        let at_once = runs.min(self.concurrency.runs_at_once());
        let values = runs * (points + 1) + at_once * points;
        values * elements * size_of::<f32>() + GramAtlas::bytes(points, runs)
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

    /// The runs that plans are chosen on: those kept out of the fit, or where none is those that are fitted on.
    pub(super) fn judged_on(&self) -> std::ops::Range<usize> {
        let (runs, fitted_on) = (self.session.runs.len(), self.fitted_on());
        if fitted_on < runs { fitted_on..runs } else { 0..runs }
    }

    /// The PSNR of a mean square error, in dB relative to the session's span.
    pub(super) fn decibels(&self, error: f64) -> f64 {
        let span = self.session.span;
        10.0 * (span * span / error.max(1e-12)).log10()
    }

    /// Replays any plan on the runs that fitted plans are chosen on: the PSNR of each finished sample to the target's, in dB.
    ///
    /// # Errors
    /// [`CalibError::Plan`] when the plan does not fit the model.
    pub fn psnr(&self, plan: &CachePlan) -> Result<Vec<f64>, CalibError> {
        let schedule = Arc::new(plan.schedule(&self.session.model.topology())?);
        Ok(self.session.concurrency.each(self.judged_on().collect(), |run| {
            let target = &self.trajectories[run];
            let Run { noise, cond } = &self.session.runs[run];
            let mut replay = Replay::new(schedule.clone());
            let x = host(sample(self.session.model, self.session.sampler, &mut replay, noise.clone(), cond));
            let squares =
                x.iter().zip(target.finished()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
            self.decibels(squares.sum::<f64>() / x.len() as f64)
        }))
    }

    pub(super) fn trajectories(&self) -> &[Trajectory] {
        &self.trajectories
    }
}

impl Trajectory {
    /// The finished sample.
    pub(super) fn finished(&self) -> &[f32] {
        self.states.last().map_or(&[], Vec::as_slice)
    }

    /// The sample at a half log-SNR, on the line between those at the neighbouring candidate points.
    pub(super) fn at(&self, candidates: &[TimePoint], time: f64) -> Vec<f32> {
        let place = |point: &TimePoint| (point.alpha / point.sigma).ln();
        let after = candidates.partition_point(|point| place(point) <= time).clamp(1, candidates.len() - 1);
        let (low, high) = (place(&candidates[after - 1]), place(&candidates[after]));
        let share = if low.is_finite() { ((time - low) / (high - low)) as f32 } else { 1.0 };
        let pairs = self.states[after - 1].iter().zip(&self.states[after]);
        pairs.map(|(before, after)| before + share * (after - before)).collect()
    }
}

/// The values of some tensors on the host.
type Values = Vec<Vec<f32>>;

/// There is something to choose among, and the priors are solvers that there are.
fn check(options: &FittedOptions) -> Result<(), CalibError> {
    let parts = [
        ("the number of pricings", options.pricings.len(), 1),
        ("the number of ways to fit", options.fits.len(), 1),
        ("the number of candidate times", options.candidates, 2),
    ];
    let order = options.fits.iter().find_map(|fit| match fit.prior {
        Multistep::UniPc(order) if !(1..=3).contains(&order) => Some(order),
        _ => None,
    });
    if let Some(order) = order {
        let (goal, expected) = ("the order of the UniPC that weights are drawn towards", "1 to 3".into());
        return Err(CalibError::Goal { goal, value: order.to_string(), expected });
    }
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

/// Outputs and samples at the steps that are kept, and the finished sample behind the samples.
fn follow<const D: usize, M, T>(
    model: &M,
    sampler: &T,
    run: &Run<D, M::Cond>,
    kept: &[usize],
) -> (Values, Values)
where
    M: Denoiser<D>,
    T: Sampler<D>,
{
    let mut history = sampler.start();
    let mut x = run.noise.clone();
    let (mut outputs, mut states) = (Vec::new(), Vec::new());
    for step in 0..sampler.steps() {
        let prediction = model.predict(&mut Full.step(step), x.clone(), sampler.time(step), &run.cond);
        if kept.binary_search(&step).is_ok() {
            let clean = sampler.to_form(step, x.clone(), prediction.clone(), OutputForm::X0);
            outputs.push(host(clean));
            states.push(host(x.clone()));
        }
        x = sampler.advance(&mut history, step, x, prediction);
    }
    states.push(host(x));
    (outputs, states)
}

fn slices(values: &[Vec<f32>]) -> Vec<&[f32]> {
    values.iter().map(Vec::as_slice).collect()
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
