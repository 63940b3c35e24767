//! What a plan gains at the size of a real model: full and cached trajectories in turns, on any device.

mod attention_path;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use burn::tensor::Tensor;
use invardiff_eval::{Run, Timings, alternate, peak_rss};
use invardiff_plan::Schedule;
use invardiff_runtime::{Denoiser, Full, Policy, Replay, Sampler, sample_with};

use crate::OpenDevice;

pub(crate) use attention_path::{AttentionPath, attention_path};

/// Traced trajectories of each kind, the first of which is not counted.
const TRACES: usize = 3;

/// A model with everything that one trajectory takes.
pub(crate) struct Subject<'a, const D: usize, M: Denoiser<D>, S> {
    pub(crate) model: &'a M,
    pub(crate) sampler: &'a S,
    pub(crate) noise: Tensor<D>,
    pub(crate) cond: M::Cond,
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) device: &'a OpenDevice,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Seconds of whole trajectories, everything computed.
    pub(crate) full: Timings,
    /// Seconds of whole trajectories under the plan.
    pub(crate) cached: Timings,
    /// Milliseconds of every step, everything computed; each waited for.
    pub(crate) full_steps: Vec<f64>,
    /// Milliseconds of every step under the plan.
    pub(crate) cached_steps: Vec<f64>,
    /// The most bytes that the cache held.
    pub(crate) peak_cache_bytes: usize,
    /// The device's memory while trajectories ran.
    pub(crate) memory: Memory,
}

/// Memory in bytes, at its most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// In use after a step: weights, samples, kept features. Where the device does not say, unknown.
    pub(crate) in_use: Option<u64>,
    /// Taken from the device, what is used within a step included. On the processor, the process's resident memory.
    pub(crate) reserved: Option<u64>,
}

impl<const D: usize, M: Denoiser<D>, S: Sampler<D>> Subject<'_, D, M, S> {
    /// Times `rounds` whole trajectories of each kind in turns after `warm_up` rounds, then single steps.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn measure(&self, rounds: usize, warm_up: usize, progress: &dyn Fn()) -> Result<Measured> {
        let once = |cached: bool| -> Result<()> {
            if cached {
                self.run(&mut Replay::new(self.schedule.clone()), |_| {});
            } else {
                self.run(&mut Full, |_| {});
            }
            self.device.wait()?;
            progress();
            Ok(())
        };
        let (mut full, mut cached) = (|| once(false), || once(true));
        let mut runs: [Run<'_, anyhow::Error>; 2] = [&mut full, &mut cached];
        let timings = alternate(rounds, warm_up, &mut runs)?;
        let [full, cached] = [timings[0].clone(), timings[1].clone()];
        let (full_steps, cached_steps) = self.trace(progress)?;
        let (peak_cache_bytes, memory) = self.watch_memory(progress)?;
        Ok(Measured { full, cached, full_steps, cached_steps, peak_cache_bytes, memory })
    }

    fn run<P: Policy>(&self, policy: &mut P, mut look: impl FnMut(&P)) {
        sample_with(self.model, self.sampler, policy, self.noise.clone(), &self.cond, |policy, _, _| {
            look(policy);
        });
    }

    /// The median time of every step, full and cached in turns.
    fn trace(&self, progress: &dyn Fn()) -> Result<(Vec<f64>, Vec<f64>)> {
        let (mut full, mut cached) = (Vec::new(), Vec::new());
        for _ in 0..TRACES {
            full.push(self.timed(&mut Full)?);
            progress();
            cached.push(self.timed(&mut Replay::new(self.schedule.clone()))?);
            progress();
        }
        Ok((medians(&full[1..]), medians(&cached[1..])))
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
            times.push(last.elapsed().as_secs_f64() * 1e3);
            last = Instant::now();
        });
        waited.map(|()| times)
    }

    /// Memory over one trajectory of each kind, looked at between steps.
    fn watch_memory(&self, progress: &dyn Fn()) -> Result<(usize, Memory)> {
        let mut memory = Memory::default();
        self.run(&mut Full, |_| memory.look(self.device));
        progress();
        let mut replay = Replay::new(self.schedule.clone());
        self.run(&mut replay, |_| memory.look(self.device));
        progress();
        self.device.wait()?;
        if memory.reserved.is_none() {
            memory.reserved = peak_rss();
        }
        Ok((replay.store().peak_bytes(), memory))
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

/// The median of every step.
fn medians(rounds: &[Vec<f64>]) -> Vec<f64> {
    let steps = rounds.first().map_or(0, Vec::len);
    (0..steps).map(|step| median(rounds.iter().map(|round| round[step]).collect())).collect()
}

/// The middle value, or the mean of the two in the middle; NaN of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_of_the_middle() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0])), (2.0, 2.5));
        assert!(median(Vec::new()).is_nan());
        assert_eq!(medians(&[vec![1.0, 5.0], vec![3.0, 7.0]]), [2.0, 6.0]);
    }
}
