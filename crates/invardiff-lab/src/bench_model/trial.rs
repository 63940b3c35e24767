//! One timed run, and several of a kind.

use std::time::Instant;

use cpu_time::ProcessTime;
use invardiff::{DeviceKind, OpenDevice};
use invardiff_eval::{Timings, peak_rss, reset_peak_rss};

use crate::error::{Context, Result};

/// Time and memory of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Seconds.
    pub wall: f64,
    /// CPU seconds over all threads; only on the CPU, where the system reports them.
    pub cpu: Option<f64>,
    /// Peak resident memory while it ran, in bytes; only on the CPU, and where the system lets it be separated
    /// from that of earlier runs.
    pub peak_rss: Option<u64>,
}

impl Trial {
    /// Runs `work` and waits for the device.
    ///
    /// # Errors
    /// Those of `work`, and when the device fails.
    pub fn of(device: &OpenDevice, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let on_processor = device.kind() == DeviceKind::Processor;
        device.wait()?;
        let is_own_peak = on_processor && reset_peak_rss();
        let cpu = if on_processor { ProcessTime::try_now().ok() } else { None };
        let start = Instant::now();
        work()?;
        device.wait()?;
        let wall = start.elapsed().as_secs_f64();
        let cpu =
            cpu.and_then(|start| Some(ProcessTime::try_now().ok()?.duration_since(start).as_secs_f64()));
        Ok(Self { wall, cpu, peak_rss: if is_own_peak { peak_rss() } else { None } })
    }
}

/// Runs of one kind, in the order of the rounds. There is at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Trials(Vec<Trial>);

impl Trials {
    /// What was run after `warm_up` rounds that do not count; `None` where nothing was.
    pub fn after(warm_up: usize, mut trials: Vec<Trial>) -> Option<Self> {
        trials.drain(..warm_up.min(trials.len()));
        (!trials.is_empty()).then_some(Self(trials))
    }

    /// Milliseconds of every run.
    pub fn wall_ms(&self) -> Vec<f64> {
        self.0.iter().map(|trial| trial.wall * 1e3).collect()
    }

    /// CPU milliseconds of every run.
    pub fn cpu_ms(&self) -> Option<Vec<f64>> {
        self.0.iter().map(|trial| Some(trial.cpu? * 1e3)).collect()
    }

    /// The most resident memory of any, in bytes.
    pub fn peak_rss(&self) -> Option<u64> {
        self.0.iter().map(|trial| trial.peak_rss).max().flatten()
    }

    /// The median over the rounds of (time of `base` / time of this one).
    pub fn speedup_over(&self, base: &Self) -> Option<f64> {
        Some(self.timings()?.speedup_over(&base.timings()?))
    }

    /// The same in CPU time.
    pub fn cpu_speedup_over(&self, base: &Self) -> Option<f64> {
        Some(self.timings()?.cpu_speedup_over(&base.timings()?)).filter(|ratio| ratio.is_finite())
    }

    fn timings(&self) -> Option<Timings> {
        let (wall, cpu) = self.0.iter().map(|trial| (trial.wall, trial.cpu.unwrap_or(f64::NAN))).unzip();
        Timings::new(wall, cpu)
    }
}

/// The trials after those that do not count.
pub(super) fn counted(warm_up: usize, trials: Vec<Trial>) -> Result<Trials> {
    Trials::after(warm_up, trials).context("no round was measured")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(wall: f64, peak_rss: Option<u64>) -> Trial {
        Trial { wall, cpu: Some(2.0 * wall), peak_rss }
    }

    #[test]
    fn warm_up_does_not_count() {
        let trials =
            Trials::after(1, vec![trial(9.0, Some(9)), trial(2.0, Some(3)), trial(1.0, None)]).unwrap();
        assert_eq!(trials.wall_ms(), [2e3, 1e3]);
        assert_eq!((trials.cpu_ms(), trials.peak_rss()), (Some(vec![4e3, 2e3]), Some(3)));
        assert_eq!(Trials::after(1, vec![trial(1.0, None)]), None);
    }

    #[test]
    fn ratios_are_those_of_the_rounds() {
        let base = Trials::after(0, vec![trial(4.0, None), trial(9.0, None), trial(6.0, None)]).unwrap();
        let own = Trials::after(0, vec![trial(2.0, None), trial(3.0, None), trial(3.0, None)]).unwrap();
        assert_eq!((own.speedup_over(&base), own.cpu_speedup_over(&base)), (Some(2.0), Some(2.0)));
        let silent = Trials::after(0, vec![Trial { wall: 1.0, cpu: None, peak_rss: None }]).unwrap();
        assert_eq!((silent.cpu_speedup_over(&base), silent.peak_rss()), (None, None));
    }

    #[test]
    fn a_run_on_the_processor_is_measured_by_itself() {
        const LARGE: usize = 256 << 20;
        let device = OpenDevice::processor();
        let large = Trial::of(&device, || {
            drop(std::hint::black_box(vec![1u8; LARGE]));
            Ok(())
        })
        .unwrap();
        let small = Trial::of(&device, || Ok(())).unwrap();
        assert!(large.wall > 0.0 && large.cpu.is_none_or(|cpu| cpu >= 0.0));
        if let (Some(large), Some(small)) = (large.peak_rss, small.peak_rss) {
            assert!(large >= LARGE as u64 && small < large, "{small} {large}");
        }
        assert!(Trial::of(&device, || crate::error::bail!("no")).is_err());
    }
}
