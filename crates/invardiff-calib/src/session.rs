//! A calibration session: a model, a sampler, the runs to measure on, and how the runs share the device.

use burn::tensor::Device;
use invardiff_runtime::{Denoiser, Phase, Progress, Sampler};
use rayon::prelude::*;

use crate::error::CalibError;
use crate::run::Run;

/// A [`Denoiser`] that several threads may run at once. Every denoiser with `Sync` weights and conditions is one.
pub trait SharedDenoiser<const D: usize>: Denoiser<D, Cond: Sync> + Sync {}

impl<const D: usize, M: Denoiser<D, Cond: Sync> + Sync> SharedDenoiser<D> for M {}

/// How the runs of a [`Session`] share the device. Results do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// One run after the other: for devices with a queue, and for models of which memory holds one trajectory.
    #[default]
    Sequential,
    /// Runs are spread over the threads of rayon's pool: for models on the processor.
    Parallel,
}

impl Concurrency {
    /// [`Concurrency::Parallel`] on the processor, [`Concurrency::Sequential`] on any other device.
    pub fn on(device: &Device) -> Self {
        if *device == Device::flex() { Self::Parallel } else { Self::Sequential }
    }

    /// The most runs at once: the threads of rayon's pool, or 1.
    pub fn runs_at_once(self) -> usize {
        match self {
            Self::Sequential => 1,
            Self::Parallel => rayon::current_num_threads(),
        }
    }

    /// The results of `work` on every item, in the order of the items.
    pub(crate) fn each<T: Send, R: Send>(self, items: Vec<T>, work: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
        match self {
            Self::Sequential => items.into_iter().map(work).collect(),
            Self::Parallel => items.into_par_iter().map(work).collect(),
        }
    }
}

/// A model and a sampler with the runs (starting noise and condition) to measure on.
///
/// Everything that calibration can do starts here: the two-phase plan of the paper ([`Session::two_phase`]), the plan of
/// least error for a goal ([`Session::least_error`]), replays against the uncached samples ([`Session::closed_loop`]), and
/// what other methods are calibrated from ([`Session::changes`], [`Session::component_errors`],
/// [`Session::block_changes`]). A session borrows all of its parts and can be copied.
///
/// The model below has one module and no weights; `examples/own_model.rs` has two kinds of module with weights of burn.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use invardiff_calib::{Goal, LeastErrorOptions, Run, Session};
/// use invardiff_runtime::{
///     Denoiser, Executor, FlowMatchEuler, GaussianNoise, Kind, Replay, Shift, Site, SiteSpec, Topology, sample,
/// };
///
/// const WAVE: Site = Site::new(Kind::new("wave"), 0);
///
/// /// Predicts the velocity of a sample `[batch, 8, 4]` from the sine of the sample.
/// struct Sine;
///
/// impl Denoiser<3> for Sine {
///     type Cond = ();
///
///     fn topology(&self) -> Topology {
///         let (model, sites) = ("sine".into(), vec![SiteSpec::single(WAVE, 8, 4, 64.0)]);
///         let trunk = SiteSpec::single(Site::TRUNK, 8, 4, 0.0);
///         Topology { model, sites, trunk, head_flops: 0.0, output_elements: 32 }
///     }
///
///     fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, (): &()) -> Tensor<3> {
///         let [clean] = exec.at(Site::TRUNK, |exec| exec.at(WAVE, |_| [(x.clone() * (1.0 - t)).sin()]));
///         (x - clean) / t
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sampler = FlowMatchEuler::new(20, Shift::Static(1.0))?;
/// let noise = |seed| GaussianNoise::seeded(seed).draw([1, 8, 4], &Device::flex());
/// let runs: Vec<_> = (0..4).map(|seed| Run { noise: noise(seed), cond: () }).collect();
///
/// let session = Session::new(&Sine, &sampler, &runs)?;
/// let found = session.least_error(Goal::Speedup(2.5), &LeastErrorOptions::default())?;
/// assert_eq!(found.plan.skipped_steps(), 12); // 8 of 20 steps are computed
///
/// let mut replay = Replay::new(found.plan.schedule(&Sine.topology())?.into());
/// let cached = sample(&Sine, &sampler, &mut replay, noise(100), &());
/// # assert_eq!(cached.dims(), [1, 8, 4]);
/// # Ok(())
/// # }
/// ```
pub struct Session<'a, const D: usize, M: Denoiser<D>, S> {
    pub(crate) model: &'a M,
    pub(crate) sampler: &'a S,
    pub(crate) runs: &'a [Run<D, M::Cond>],
    pub(crate) concurrency: Concurrency,
    pub(crate) span: f64,
    progress: &'a dyn Progress,
}

impl<'a, const D: usize, M: SharedDenoiser<D>, S: Sampler<D> + Sync> Session<'a, D, M, S> {
    /// A session that shares the device as [`Concurrency::on`] says of the runs' device, and reports no progress.
    ///
    /// # Errors
    /// [`CalibError::NoRuns`]; [`CalibError::Runtime`] for a sampler that draws noise at its steps.
    pub fn new(model: &'a M, sampler: &'a S, runs: &'a [Run<D, M::Cond>]) -> Result<Self, CalibError> {
        sampler.deterministic()?;
        let first = runs.first().ok_or(CalibError::NoRuns)?;
        let concurrency = Concurrency::on(&first.noise.device());
        Ok(Self { model, sampler, runs, concurrency, span: 2.0, progress: &() })
    }

    /// Shares the device in another way.
    pub fn with_concurrency(self, concurrency: Concurrency) -> Self {
        Self { concurrency, ..self }
    }

    /// Tells `progress` of every phase, in runs or replays.
    pub fn with_progress(self, progress: &'a dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// Gives PSNR of samples relative to values that span so much; 2 (from -1 to 1) unless it is set.
    pub fn with_span(self, span: f64) -> Self {
        Self { span, ..self }
    }

    /// The same on the first `count` runs, or on all where there are fewer; on one at least.
    pub fn first(self, count: usize) -> Self {
        Self { runs: &self.runs[..count.clamp(1, self.runs.len())], ..self }
    }

    /// The model.
    pub fn model(&self) -> &'a M {
        self.model
    }

    /// The sampler.
    pub fn sampler(&self) -> &'a S {
        self.sampler
    }

    /// The runs.
    pub fn runs(&self) -> &'a [Run<D, M::Cond>] {
        self.runs
    }

    /// Number of steps of the sampler.
    pub fn steps(&self) -> usize {
        self.sampler.steps()
    }

    /// Begins a phase of `length` units.
    pub(crate) fn phase(&self, name: &str, length: usize) -> Phase<'a> {
        Phase::begin(self.progress, name, length)
    }

    /// The results of `work` on every run, in the order of the runs: one phase, one unit per run.
    pub(crate) fn each_run<R: Send>(
        &self,
        phase: &str,
        work: impl Fn(&'a Run<D, M::Cond>) -> R + Send + Sync,
    ) -> Vec<R> {
        let phase = self.phase(phase, self.runs.len());
        self.concurrency.each(self.runs.iter().collect(), |run| {
            let result = work(run);
            phase.advance(1);
            result
        })
    }
}

impl<const D: usize, M: Denoiser<D>, S> Clone for Session<'_, D, M, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const D: usize, M: Denoiser<D>, S> Copy for Session<'_, D, M, S> {}

impl<const D: usize, M: Denoiser<D>, S> std::fmt::Debug for Session<'_, D, M, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, concurrency, span, .. } = self;
        f.debug_struct("Session")
            .field("runs", &runs.len())
            .field("concurrency", concurrency)
            .field("span", span)
            .finish_non_exhaustive()
    }
}
