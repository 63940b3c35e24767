//! What came out, as a table and as JSON.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::{Args, Prepared};
use crate::OpenDevice;
use crate::bench_model::{AttentionPath, Measured, median};
use crate::commands::plan::bytes;

/// Everything that is printed.
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
    full_step_ms: f64,
    computed_step_ms: Option<f64>,
    skipped_step_ms: Option<f64>,
    computed_steps: usize,
    skipped_steps: usize,
    speedup: f64,
    predicted_speedup: f64,
    peak_cache_bytes: usize,
    scheduled_cache_bytes: usize,
    memory_in_use_bytes: Option<u64>,
    memory_reserved_bytes: Option<u64>,
    attention: Option<Attention>,
}

/// The way attention goes.
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
        measured: &Measured,
    ) -> Result<Self> {
        let plan = &prepared.plan;
        let of = |skipped: bool| {
            let steps = measured.cached_steps.iter().zip(plan.gate());
            let times: Vec<f64> =
                steps.filter(|(_, gate)| **gate == skipped).map(|(time, _)| *time).collect();
            (!times.is_empty()).then(|| median(times))
        };
        let milliseconds =
            |timings: &invardiff_eval::Timings| timings.seconds().iter().map(|s| s * 1e3).collect();
        Ok(Self {
            model,
            device: device.choice().to_string(),
            device_model: device.model(),
            dtype: args.dtype.name(),
            seed: args.seed,
            num_inference_steps: plan.steps(),
            plan: plan.fingerprint()?,
            rounds: args.rounds as usize,
            warm_up: args.warm_up as usize,
            full_ms: milliseconds(&measured.full),
            cached_ms: milliseconds(&measured.cached),
            full_step_ms: median(measured.full_steps.clone()),
            computed_step_ms: of(false),
            skipped_step_ms: of(true),
            computed_steps: plan.steps() - plan.skipped_steps(),
            skipped_steps: plan.skipped_steps(),
            speedup: measured.cached.speedup_over(&measured.full),
            predicted_speedup: prepared.predicted_speedup,
            peak_cache_bytes: measured.peak_cache_bytes,
            scheduled_cache_bytes: prepared.peak_cache_bytes,
            memory_in_use_bytes: measured.memory.in_use,
            memory_reserved_bytes: measured.memory.reserved,
            attention: None,
        })
    }

    /// With the path that attention takes.
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
        let milliseconds = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2} ms"));
        let step = |f: &mut fmt::Formatter<'_>, name: &str, count: usize, value: Option<f64>| {
            writeln!(f, "{name:24} {:>14}   {count} steps", milliseconds(value))
        };
        step(f, "full step", self.num_inference_steps, Some(self.full_step_ms))?;
        step(f, "computed step", self.computed_steps, self.computed_step_ms)?;
        step(f, "skipped step", self.skipped_steps, self.skipped_step_ms)?;
        for (name, values) in [("full trajectory", &self.full_ms), ("cached trajectory", &self.cached_ms)] {
            let middle = milliseconds(Some(median(values.clone())));
            writeln!(f, "{name:24} {middle:>14}   median of {}", values.len())?;
        }
        writeln!(
            f,
            "{:24} {:>14}   predicted {:.2}x",
            "speed-up",
            format!("{:.2}x", self.speedup),
            self.predicted_speedup
        )?;
        writeln!(
            f,
            "{:24} {:>14}   scheduled {}",
            "peak cache",
            bytes(self.peak_cache_bytes),
            bytes(self.scheduled_cache_bytes)
        )?;
        let memory = |value: Option<u64>| value.map_or("unknown".to_owned(), |value| bytes(value as usize));
        writeln!(
            f,
            "{:24} {:>14}   {} in use between steps",
            "peak memory",
            memory(self.memory_reserved_bytes),
            memory(self.memory_in_use_bytes)
        )?;
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
