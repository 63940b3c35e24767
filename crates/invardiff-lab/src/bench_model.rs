//! Measures the speed-up of a plan on a model of published size: full and cached trajectories in turns, on any device.

mod attention_path;
mod calibration;
mod trial;

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;
use invardiff::fault::in_one_line;
use invardiff::{DeviceKind, OpenDevice};
use invardiff_eval::{alternate, medians};
use invardiff_plan::Schedule;
use invardiff_runtime::{Denoiser, Full, Policy, Replay, Sampler, sample_with};

pub use attention_path::{AttentionPath, attention_path};
pub use calibration::{CalibrationSubject, CalibrationTimes};
pub use trial::{Trial, Trials};

use trial::counted;

use crate::error::{Context, Result, unfit};

/// Traced trajectories of each kind where steps are not timed in the rounds; the first is not counted.
const TRACES: usize = 3;

/// A model with everything that one trajectory needs.
pub struct Subject<'a, const D: usize, M: Denoiser<D>, S> {
    /// The network, with its guidance.
    pub model: &'a M,
    /// The sampler.
    pub sampler: &'a S,
    /// The noise that every trajectory starts from.
    pub noise: Tensor<D>,
    /// What the network is conditioned on.
    pub cond: M::Cond,
    /// The schedule of the plan.
    pub schedule: Arc<Schedule>,
    /// The device that computes.
    pub device: &'a OpenDevice,
}

/// Times and memory of full and cached trajectories.
#[derive(Clone, Debug)]
pub struct PlanTimes {
    /// Whole trajectories, everything computed.
    pub full: Trials,
    /// Whole trajectories under the plan.
    pub cached: Trials,
    /// Milliseconds of every step, everything computed; the device is waited for after each.
    pub full_steps: Vec<f64>,
    /// Milliseconds of every step under the plan.
    pub cached_steps: Vec<f64>,
    /// Peak bytes of the cache.
    pub peak_cache_bytes: usize,
    /// Memory of the device, where it reports that; empty on the CPU.
    pub memory: Memory,
}

/// Peak memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use after a step: weights, samples, cached features.
    pub in_use: Option<u64>,
    /// Allocated on the device, including memory used within a step.
    pub reserved: Option<u64>,
}

impl<const D: usize, M: Denoiser<D>, S: Sampler<D>> Subject<'_, D, M, S> {
    /// Times `rounds` whole trajectories of each kind in turns after `warm_up` rounds. The CPU computes at once, so
    /// that single steps are timed in the same trajectories; on other devices, further ones wait for every step.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measure(&self, rounds: usize, warm_up: usize, progress: &dyn Fn()) -> Result<PlanTimes> {
        let [mut full, mut cached] = [const { Vec::new() }; 2];
        let [mut full_steps, mut cached_steps] = [const { Vec::new() }; 2];
        let mut peak_cache_bytes = 0;
        let mut run_full = || -> Result<()> {
            self.trial(&mut Full, &mut full, &mut full_steps)?;
            progress();
            Ok(())
        };
        let mut run_cached = || -> Result<()> {
            let mut replay = Replay::new(self.schedule.clone());
            self.trial(&mut replay, &mut cached, &mut cached_steps)?;
            peak_cache_bytes = replay.store().peak_bytes();
            progress();
            Ok(())
        };
        alternate(rounds, warm_up, &mut [&mut run_full, &mut run_cached])?;
        let mut memory = Memory::default();
        let mut uncounted = warm_up;
        if self.device.kind() != DeviceKind::Processor {
            [full_steps, cached_steps] = self.trace(progress)?;
            uncounted = 1;
            memory = self.watch_memory(progress)?;
        }
        Ok(PlanTimes {
            full: counted(warm_up, full)?,
            cached: counted(warm_up, cached)?,
            full_steps: medians(&full_steps[uncounted..]),
            cached_steps: medians(&cached_steps[uncounted..]),
            peak_cache_bytes,
            memory,
        })
    }

    /// How many trajectories [`Subject::measure`] runs.
    pub fn trajectories(&self, rounds: usize, warm_up: usize) -> usize {
        let further = if self.device.kind() == DeviceKind::Processor { 0 } else { TRACES + 1 };
        2 * (rounds + warm_up + further)
    }

    fn run<P: Policy>(&self, policy: &mut P, mut look: impl FnMut(&P)) -> Result<()> {
        let (noise, cond) = (self.noise.clone(), &self.cond);
        let sample = sample_with(self.model, self.sampler, policy, noise, cond, |policy, _, _| look(policy));
        // wgpu drops work for which there is no memory and says so when a value is read, not when it is waited for.
        let read = sample.slice(std::array::from_fn::<_, D, _>(|_| 0..1)).try_into_data();
        let failed = |error| unfit!("the device gave no result: {}", in_one_line(&format!("{error:?}")));
        read.map(drop).map_err(failed).context("a trajectory failed; is there memory enough for the model?")
    }

    /// One trajectory, on the CPU with the time of every step.
    fn trial<P: Policy>(
        &self,
        policy: &mut P,
        trials: &mut Vec<Trial>,
        steps: &mut Vec<Vec<f64>>,
    ) -> Result<()> {
        let mut times = Vec::with_capacity(self.sampler.steps());
        let on_processor = self.device.kind() == DeviceKind::Processor;
        let trial = Trial::of(self.device, || {
            let mut last = Instant::now();
            self.run(policy, |_| {
                if on_processor {
                    times.push(lap(&mut last));
                }
            })
        })?;
        trials.push(trial);
        steps.push(times);
        Ok(())
    }

    /// Milliseconds of every step, each waited for, full and cached in turns.
    fn trace(&self, progress: &dyn Fn()) -> Result<[Vec<Vec<f64>>; 2]> {
        let (mut full, mut cached) = (Vec::new(), Vec::new());
        for _ in 0..TRACES {
            full.push(self.timed(&mut Full)?);
            progress();
            cached.push(self.timed(&mut Replay::new(self.schedule.clone()))?);
            progress();
        }
        Ok([full, cached])
    }

    fn timed<P: Policy>(&self, policy: &mut P) -> Result<Vec<f64>> {
        let mut times = Vec::with_capacity(self.sampler.steps());
        let mut waited = Ok(());
        self.device.wait()?;
        let mut last = Instant::now();
        self.run(policy, |_| {
            if let Err(error) = self.device.wait() {
                waited = Err(error);
            }
            times.push(lap(&mut last));
        })?;
        waited?;
        Ok(times)
    }

    /// The device's memory over one trajectory of each kind, read between steps.
    fn watch_memory(&self, progress: &dyn Fn()) -> Result<Memory> {
        let mut memory = Memory::default();
        self.run(&mut Full, |_| memory.look(self.device))?;
        progress();
        self.run(&mut Replay::new(self.schedule.clone()), |_| memory.look(self.device))?;
        progress();
        self.device.wait()?;
        Ok(memory)
    }
}

impl Memory {
    fn look(&mut self, device: &OpenDevice) {
        if let Some(usage) = device.memory_pool_usage() {
            let most = |known: &mut Option<u64>, now: u64| *known = Some(known.unwrap_or(0).max(now));
            most(&mut self.in_use, usage.bytes_in_use);
            most(&mut self.reserved, usage.bytes_reserved);
        }
    }
}

/// Milliseconds since `last`; sets `last` to now.
fn lap(last: &mut Instant) -> f64 {
    let now = Instant::now();
    let passed = now.duration_since(std::mem::replace(last, now));
    passed.as_secs_f64() * 1e3
}
