//! The result, as a table and as JSON.

use std::fmt;

use anyhow::Result;
use invardiff::OpenDevice;
use invardiff::units::bytes;
use invardiff_eval::median;
use invardiff_lab::bench_model::{AttentionPath, PlanTimes};
use serde::Serialize;

use super::args::{Args, Prepared};

/// The whole output of the command.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    model: String,
    device: String,
    device_model: Option<String>,
    dtype: &'static str,
    seed: u64,
    num_inference_steps: usize,
    plan: String,
    rounds: usize,
    warm_up: usize,
    full_ms: Vec<f64>,
    cached_ms: Vec<f64>,
    full_cpu_ms: Option<Vec<f64>>,
    cached_cpu_ms: Option<Vec<f64>>,
    full_step_ms: f64,
    computed_step_ms: Option<f64>,
    skipped_step_ms: Option<f64>,
    computed_steps: usize,
    skipped_steps: usize,
    speedup: Option<f64>,
    cpu_speedup: Option<f64>,
    predicted_speedup: f64,
    peak_cache_bytes: usize,
    scheduled_cache_bytes: usize,
    full_peak_rss_bytes: Option<u64>,
    cached_peak_rss_bytes: Option<u64>,
    memory_in_use_bytes: Option<u64>,
    memory_reserved_bytes: Option<u64>,
    attention: Option<Attention>,
}

/// How attention is computed.
#[derive(Clone, Debug, Serialize)]
struct Attention {
    path: AttentionPath,
    shape: [usize; 4],
    bytes_taken: Option<u64>,
    score_bytes: u64,
}

impl Outcome {
    /// # Errors
    /// When the plan has no fingerprint.
    pub(super) fn new(
        args: &Args,
        device: &OpenDevice,
        model: String,
        prepared: &Prepared,
        measured: &PlanTimes,
    ) -> Result<Self> {
        let plan = &prepared.plan;
        let of = |skipped: bool| {
            let steps = measured.cached_steps.iter().zip(plan.gate());
            let times: Vec<f64> =
                steps.filter(|(_, gate)| **gate == skipped).map(|(time, _)| *time).collect();
            (!times.is_empty()).then(|| median(&times))
        };
        let (full, cached) = (&measured.full, &measured.cached);
        Ok(Self {
            model,
            device: device.choice().to_string(),
            device_model: device.model(),
            dtype: args.dtype.name(),
            seed: args.seed,
            num_inference_steps: plan.full_steps(),
            plan: plan.fingerprint()?,
            rounds: args.rounds as usize,
            warm_up: args.warm_up as usize,
            full_ms: full.wall_ms(),
            cached_ms: cached.wall_ms(),
            full_cpu_ms: full.cpu_ms(),
            cached_cpu_ms: cached.cpu_ms(),
            full_step_ms: median(&measured.full_steps),
            computed_step_ms: of(false),
            skipped_step_ms: of(true),
            computed_steps: plan.steps() - plan.skipped_steps(),
            skipped_steps: plan.skipped_steps(),
            speedup: cached.speedup_over(full),
            cpu_speedup: cached.cpu_speedup_over(full),
            predicted_speedup: prepared.predicted_speedup,
            peak_cache_bytes: measured.peak_cache_bytes,
            scheduled_cache_bytes: prepared.peak_cache_bytes,
            full_peak_rss_bytes: full.peak_rss(),
            cached_peak_rss_bytes: cached.peak_rss(),
            memory_in_use_bytes: measured.memory.in_use,
            memory_reserved_bytes: measured.memory.reserved,
            attention: None,
        })
    }

    /// The same outcome with the path of attention added.
    pub(super) fn with_attention(
        self,
        shape: [usize; 4],
        (path, bytes_taken, score_bytes): (AttentionPath, Option<u64>, u64),
    ) -> Self {
        Self { attention: Some(Attention { path, shape, bytes_taken, score_bytes }), ..self }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self
            .device_model
            .as_ref()
            .map_or(self.device.clone(), |model| format!("{} ({model})", self.device));
        writeln!(
            f,
            "{} on {device}, {}, random weights (seed {}), {} steps, plan {}",
            self.model,
            self.dtype,
            self.seed,
            self.num_inference_steps,
            &self.plan[..12]
        )?;
        self.steps(f)?;
        self.speed(f)?;
        self.memory(f)?;
        let Some(attention) = &self.attention else { return Ok(()) };
        let taken =
            attention.bytes_taken.map_or(String::new(), |taken| format!("took {}, ", bytes(taken as usize)));
        write!(
            f,
            "attention {:?}: {} ({taken}scores are {})",
            attention.shape,
            attention.path.describe(),
            bytes(attention.score_bytes as usize)
        )
    }
}

impl Outcome {
    fn steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.full_step_ms;
        line(f, "full step", &milliseconds(Some(full)), &format!("{} steps", self.num_inference_steps))?;
        for (name, time, count) in [
            ("computed step", self.computed_step_ms, self.computed_steps),
            ("skipped step", self.skipped_step_ms, self.skipped_steps),
        ] {
            let share = time.map_or(String::new(), |time| format!(", {:.5} of a full one", time / full));
            line(f, name, &milliseconds(time), &format!("{count} steps{share}"))?;
        }
        Ok(())
    }

    fn speed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, wall, cpu) in [
            ("full trajectory", &self.full_ms, &self.full_cpu_ms),
            ("cached trajectory", &self.cached_ms, &self.cached_cpu_ms),
        ] {
            let cpu =
                cpu.as_ref().map_or(String::new(), |cpu| format!(", CPU {}", milliseconds(middle(cpu))));
            line(f, name, &milliseconds(middle(wall)), &format!("median of {}{cpu}", wall.len()))?;
        }
        let predicted = self.predicted_speedup;
        let over = |speedup: f64| format!("{:.3} of the predicted {predicted:.3}x", speedup / predicted);
        for (name, speedup) in [("speed-up", self.speedup), ("speed-up in CPU time", self.cpu_speedup)] {
            if let Some(speedup) = speedup {
                line(f, name, &format!("{speedup:.3}x"), &over(speedup))?;
            }
        }
        Ok(())
    }

    fn memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheduled = self.scheduled_cache_bytes;
        let share = self.peak_cache_bytes as f64 / scheduled as f64;
        let share = if scheduled == 0 { String::new() } else { format!("{share:.3} of the ") };
        line(
            f,
            "peak cache",
            &bytes(self.peak_cache_bytes),
            &format!("{share}scheduled {}", bytes(scheduled)),
        )?;
        if let (Some(full), Some(cached)) = (self.full_peak_rss_bytes, self.cached_peak_rss_bytes) {
            line(f, "peak memory, full", &bytes(full as usize), "of the process")?;
            let share = format!("{:.3} of the full run's", cached as f64 / full as f64);
            return line(f, "peak memory, cached", &bytes(cached as usize), &share);
        }
        let memory = |value: Option<u64>| value.map_or("unknown".to_owned(), |value| bytes(value as usize));
        let in_use = format!("{} in use between steps", memory(self.memory_in_use_bytes));
        line(f, "peak memory", &memory(self.memory_reserved_bytes), &in_use)
    }
}

/// One row of the table.
pub(super) fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &str, more: &str) -> fmt::Result {
    writeln!(f, "{name:24} {value:>14}   {more}")
}

/// A time as text.
pub(super) fn milliseconds(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.2} ms"))
}

/// The median of times.
pub(super) fn middle(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| median(values))
}
