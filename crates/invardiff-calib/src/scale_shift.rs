//! Training Block Caching's scale-shift vectors against the uncached model, whose weights stay as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_plan::{PlanError, Schedule, Site, Topology};
use invardiff_runtime::{
    Affine, Denoiser, Executor, Feature, Full, Pass, Policy, Replay, RuntimeError, Sampler, ScaleShift,
};

use crate::adam_w::{AdamW, Moments};
use crate::error::CalibError;
use crate::run::Run;

/// What an iteration found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleShiftLoss {
    /// Mean over the steps that reuse something: mean square between the adjusted and the full prediction.
    pub distance: f32,
}

/// Everything that a training carries from one iteration to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleShiftState {
    /// For every step the scales and shifts of its reused modules: sites in order of execution, of each site its streams, of
    /// each stream the scale and then the shift.
    pub vectors: Vec<Vec<f32>>,
    /// The state of the optimiser, one per step.
    pub moments: Vec<Moments>,
    /// One entry an iteration.
    pub history: Vec<ScaleShiftLoss>,
}

/// A training of the vectors of one schedule. What an iteration does depends on its state and its run alone, so a training
/// that was resumed from its state ends like one that was not interrupted, bit for bit.
///
/// Student and teacher both see the teacher's trajectory. At each of its steps the student predicts with reused features
/// that go through the vectors, and the loss is the mean square between its prediction and the teacher's. The student's
/// features come from its own earlier steps; they are constants, so that each step trains its own vectors alone and the
/// memory of one step's gradient is all that is needed. (The paper says that the vectors are trained against the uncached
/// model with its weights frozen, and leaves open along whose trajectory and through how many steps the gradient goes.)
#[derive(Clone, Debug)]
pub struct ScaleShiftTraining {
    schedule: Arc<Schedule>,
    topology: Topology,
    /// The reused modules of every step, with the channels of each stream.
    places: Vec<Places>,
    optimiser: AdamW,
    state: ScaleShiftState,
}

impl ScaleShiftTraining {
    /// Starts with scale 1 and shift 0 everywhere.
    ///
    /// # Errors
    /// [`CalibError::Plan`] for a schedule that reuses no module or skips whole steps.
    pub fn start(schedule: Arc<Schedule>, topology: Topology, optimiser: AdamW) -> Result<Self, CalibError> {
        let pair = |dim: &usize| {
            let (scale, shift) = (std::iter::repeat_n(1.0, *dim), std::iter::repeat_n(0.0, *dim));
            scale.chain(shift).collect::<Vec<f32>>()
        };
        let places = places(&schedule, &topology)?;
        let of_step = |step: &Places| step.iter().flat_map(|(_, dims)| dims).flat_map(pair).collect();
        let vectors: Vec<Vec<f32>> = places.iter().map(of_step).collect();
        let moments = vectors.iter().map(|values| Moments::zeros(values.len())).collect();
        Self::resume(schedule, topology, optimiser, ScaleShiftState { vectors, moments, history: Vec::new() })
    }

    /// Goes on where another training stopped.
    ///
    /// # Errors
    /// As [`ScaleShiftTraining::start`], and [`CalibError::Plan`] when the state is of another schedule.
    pub fn resume(
        schedule: Arc<Schedule>,
        topology: Topology,
        optimiser: AdamW,
        state: ScaleShiftState,
    ) -> Result<Self, CalibError> {
        let places = places(&schedule, &topology)?;
        let expected: Vec<usize> = places.iter().map(|step| width(step)).collect();
        let found = |lengths: Vec<usize>| lengths != expected;
        if found(state.vectors.iter().map(Vec::len).collect())
            || found(state.moments.iter().map(|one| one.first.len()).collect())
            || found(state.moments.iter().map(|one| one.second.len()).collect())
        {
            let what = "the vectors of a scale-shift state, numbers a step".into();
            let found = state.vectors.iter().map(Vec::len).collect();
            return Err(PlanError::Shape { what, expected, found }.into());
        }
        Ok(Self { schedule, topology, places, optimiser, state })
    }

    /// Vectors, moments and losses as they are.
    pub fn state(&self) -> &ScaleShiftState {
        &self.state
    }

    /// The schedule that is adjusted.
    pub fn schedule(&self) -> &Arc<Schedule> {
        &self.schedule
    }

    /// The vectors as `Replay` takes them.
    ///
    /// # Errors
    /// As [`ScaleShift::new`]; it cannot happen for a training that exists.
    pub fn adjustment(&self, device: &Device) -> Result<ScaleShift, CalibError> {
        self.lay_out(&self.leaves(device))
    }

    /// One iteration: one trajectory of the teacher, and one step of AdamW on the vectors of every step that reuses.
    ///
    /// # Errors
    /// [`CalibError::Diverged`] when a loss is not finite; [`CalibError::Runtime`] for a stochastic sampler or one with another
    /// number of steps than the schedule.
    pub fn iterate<const D: usize, M, S>(
        &mut self,
        model: &M,
        sampler: &S,
        run: &Run<D, M::Cond>,
    ) -> Result<ScaleShiftLoss, CalibError>
    where
        M: Denoiser<D>,
        S: Sampler<D>,
    {
        sampler.deterministic()?;
        if sampler.steps() != self.schedule.steps() {
            return Err(RuntimeError::Steps { plan: self.schedule.steps(), sampler: sampler.steps() }.into());
        }
        let leaves: Vec<Tensor<1>> =
            self.leaves(&run.noise.device()).into_iter().map(|leaf| leaf.autodiff().require_grad()).collect();
        let adjustment = Arc::new(self.lay_out(&leaves)?);
        let mut student = Replay::with_adjustment(self.schedule.clone(), adjustment);
        let (mut history, mut x) = (sampler.start(), run.noise.clone());
        let (mut sum, mut steps) = (0.0, 0);
        for (step, leaf) in leaves.iter().enumerate() {
            let predict =
                |exec: &mut Constants<_>| model.predict(exec, x.clone(), sampler.time(step), &run.cond);
            let found = predict(&mut Constants(student.step(step)));
            let target = if self.places[step].is_empty() {
                found // nothing is reused: the student is the teacher
            } else {
                let target = model.predict(&mut Full, x.clone(), sampler.time(step), &run.cond);
                let distance = (found - target.clone()).cast(DType::F32).square().mean();
                let gradient = leaf.grad(&distance.backward());
                let gradient: Vec<f32> =
                    gradient.map_or_else(Vec::new, |found| found.into_data().iter().collect());
                let distance: f32 = distance.into_scalar();
                self.learn(step, distance, &gradient)?;
                (sum, steps) = (sum + f64::from(distance), steps + 1);
                target
            };
            x = sampler.advance(&mut history, step, x, target);
        }
        let loss = ScaleShiftLoss { distance: (sum / f64::from(steps)) as f32 };
        self.state.history.push(loss);
        Ok(loss)
    }

    fn learn(&mut self, step: usize, distance: f32, gradient: &[f32]) -> Result<(), CalibError> {
        let vectors = &mut self.state.vectors[step];
        let finite = distance.is_finite() && gradient.iter().all(|value| value.is_finite());
        if !finite || gradient.len() != vectors.len() {
            return Err(CalibError::Diverged { iteration: self.state.history.len() });
        }
        self.optimiser.update(&mut self.state.moments[step], vectors, gradient);
        Ok(())
    }

    /// The numbers of every step, `[numbers]` each.
    fn leaves(&self, device: &Device) -> Vec<Tensor<1>> {
        let leaf = |values: &Vec<f32>| {
            Tensor::from_data(TensorData::new(values.clone(), [values.len()]), (device, DType::F32))
        };
        self.state.vectors.iter().map(leaf).collect()
    }

    /// The numbers as vectors at their places.
    fn lay_out(&self, leaves: &[Tensor<1>]) -> Result<ScaleShift, CalibError> {
        let mut at = BTreeMap::new();
        for (step, (places, leaf)) in self.places.iter().zip(leaves).enumerate() {
            let mut start = 0;
            let mut next = |dim: usize| {
                start += dim;
                leaf.clone().narrow(0, start - dim, dim).reshape([1, 1, dim])
            };
            for (site, dims) in places {
                let streams = dims
                    .iter()
                    .map(|dim| Affine { scale: next(*dim), shift: next(*dim) })
                    .collect::<Vec<_>>();
                at.insert((step, *site), streams);
            }
        }
        Ok(ScaleShift::new(at, &self.schedule, &self.topology)?)
    }
}

/// The reused modules of a step, each with the channels of its streams.
type Places = Vec<(Site, Vec<usize>)>;

/// The reused modules of every step.
fn places(schedule: &Schedule, topology: &Topology) -> Result<Vec<Places>, CalibError> {
    let refuse = |value: String| {
        let (what, expected) = ("a plan to adjust".into(), "reused modules and no skipped step".into());
        Err(PlanError::Range { what, value, expected }.into())
    };
    let gated = (0..schedule.steps()).find(|step| schedule.action(*step, 0).recipe().is_some());
    if let Some(step) = gated {
        return refuse(format!("skipping step {step}"));
    }
    let mut places = vec![Vec::new(); schedule.steps()];
    for (step, site, streams) in ScaleShift::places(schedule, topology) {
        places[step].push((site, streams.iter().map(|stream| stream.dim).collect()));
    }
    if places.iter().all(Vec::is_empty) { refuse("reusing nothing".into()) } else { Ok(places) }
}

/// Numbers of a step: a scale and a shift for every channel.
fn width(places: &[(Site, Vec<usize>)]) -> usize {
    places.iter().flat_map(|(_, dims)| dims).map(|dim| 2 * dim).sum()
}

/// Has the inner executor see and keep what is computed as constants, while the model goes on with the tracked values. For
/// executors that return what they are given.
struct Constants<E>(E);

impl<E: Executor> Executor for Constants<E> {
    fn recall<const N: usize>(&mut self, site: Site) -> Option<Feature<N>> {
        self.0.recall(site)
    }

    fn settle<const N: usize>(&mut self, site: Site, fresh: Feature<N>) -> Feature<N> {
        self.0.settle(site, fresh.each_ref().map(|tensor| tensor.clone().without_autodiff()));
        fresh
    }

    fn enter(&mut self, pass: Pass) {
        self.0.enter(pass);
    }
}
