//! Times every step of one image, to check the predicted speed-up.

use std::sync::Arc;
use std::time::Instant;

use crate::progress::bar;
use anyhow::Result;
use burn::tensor::Tensor;
use invardiff::Pipeline;
use invardiff_eval::{median, medians};
use invardiff_plan::Schedule;
use invardiff_runtime::{Full, Policy, Replay, Sampler, sample_with};

/// The fewest rounds: a median needs three.
const FEWEST: usize = 3;
/// The most rounds, if they are short.
const MOST: usize = 15;
/// No further round begins after so many seconds.
const SECONDS: f64 = 12.0;
/// The relative difference between measured and predicted speed-up above which step times are reported.
const MARGIN: f64 = 0.03;

/// Trajectories of one image, full and under a plan.
pub(super) struct Trace {
    /// Milliseconds of every step with everything computed, medians over the rounds.
    pub(super) full: Vec<f64>,
    /// The same under the plan.
    pub(super) cached: Vec<f64>,
    /// Bytes in the cache after every step under the plan.
    pub(super) bytes: Vec<f64>,
    /// The number of trajectories of each kind, run in turns.
    pub(super) rounds: usize,
}

impl Trace {
    /// The measured speed-up. It is computed from sums of per-step medians, which other load on the machine hardly affects.
    pub(super) fn speedup(&self) -> f64 {
        self.full.iter().sum::<f64>() / self.cached.iter().sum::<f64>()
    }

    /// The measured and the predicted speed-up in words, and step times if they differ.
    pub(super) fn note(&self, predicted: f64, gate: &[bool]) -> String {
        let off = self.speedup() / predicted - 1.0;
        let apart = format!(
            "One image at a time, step by step in {} rounds, the plan is {:.2}x faster; {predicted:.2}x was predicted ({:+.1} %).",
            self.rounds,
            self.speedup(),
            off * 100.0
        );
        if off.abs() <= MARGIN {
            return apart;
        }
        let cached = |skipped: bool| of(&self.cached, gate, skipped);
        if !gate.contains(&true) {
            let (full, own) = (median(&self.full), cached(false));
            return format!("{apart} A step takes {full:.2} ms in full and {own:.2} ms under the plan.");
        }
        format!(
            "{apart} A step takes {:.2} ms in full, {:.2} ms where the plan computes and {:.2} ms where it skips.",
            median(&self.full),
            cached(false),
            cached(true)
        )
    }
}

/// Times every step of one image, full and cached in turns, and records the bytes in the cache.
///
/// # Errors
/// When the image's condition cannot be made.
pub(super) fn trace<const D: usize, P: Pipeline<D>>(
    full: &P,
    schedule: &Arc<Schedule>,
    seed: u64,
) -> Result<Trace> {
    let (noise, cond) = (full.noise(&[seed]), full.condition(&[full.subject(0)])?);
    let (mut whole, mut cached, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let start = Instant::now();
    let progress = bar(MOST, "timing the plan (rounds)");
    while whole.len() < FEWEST || (whole.len() < MOST && start.elapsed().as_secs_f64() < SECONDS) {
        whole.push(timed(full, &mut Full, &noise, &cond, |_| {}));
        bytes.clear();
        let mut replay = Replay::new(schedule.clone());
        let look = |policy: &Replay| bytes.push(policy.store().bytes() as f64);
        cached.push(timed(full, &mut replay, &noise, &cond, look));
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(Trace { full: medians(&whole), cached: medians(&cached), bytes, rounds: whole.len() })
}

/// Milliseconds of every step.
fn timed<const D: usize, P: Pipeline<D>, Q: Policy>(
    full: &P,
    policy: &mut Q,
    noise: &Tensor<D>,
    cond: &P::Cond,
    mut look: impl FnMut(&Q),
) -> Vec<f64> {
    let mut times = Vec::with_capacity(full.sampler().steps());
    let mut last = Instant::now();
    sample_with(full.denoiser(), full.sampler(), policy, noise.clone(), cond, |policy, _, _| {
        // The CPU computes at once; other devices are waited for. An error would appear at the next read.
        full.device().sync().ok();
        times.push(last.elapsed().as_secs_f64() * 1e3);
        look(policy);
        last = Instant::now();
    });
    times
}

/// The median time of the computed or of the skipped steps.
fn of(times: &[f64], gate: &[bool], skipped: bool) -> f64 {
    let of_kind = times.iter().zip(gate).filter(|(_, gate)| **gate == skipped);
    median(&of_kind.map(|(ms, _)| *ms).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_of_single_steps_change_nothing() {
        let full = medians(&[vec![4.0, 4.0], vec![4.0, 90.0], vec![50.0, 4.0]]);
        let cached = medians(&[vec![4.0, 0.1], vec![4.0, 0.1], vec![4.0, 30.0]]);
        let trace = Trace { full, cached, bytes: Vec::new(), rounds: 3 };
        assert!((trace.speedup() - 8.0 / 4.1).abs() < 1e-12);
        let note = trace.note(2.0, &[false, true]);
        assert!(note.contains("1.95x") && note.contains("(-2.4 %)") && !note.contains("ms"), "{note}");
        let note = trace.note(2.2, &[false, true]);
        assert!(note.contains("4.00 ms in full, 4.00 ms where the plan computes and 0.10 ms"), "{note}");
    }
}
