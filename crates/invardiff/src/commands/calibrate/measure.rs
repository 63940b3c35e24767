//! Measuring: the calibration, and one traced trajectory with and without the plan.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use burn::tensor::{Int, Tensor};
use invardiff_calib::{Outcome, RecordOptions, Run, calibrate};
use invardiff_plan::{CachePlan, Calibration, Cost, Phases, Schedule, Settings, Variant, WarmUp};
use invardiff_runtime::{Denoiser, Full, Policy, Replay, Sampler, sample_with};

use super::least_error::{self, LeastError};
use super::{Args, quantiles};
use crate::{ClassToImage, bar};

/// What was measured.
pub(super) struct Measured {
    /// The published rule's plan and everything behind it.
    pub(super) paper: Outcome,
    /// The plan of least error.
    pub(super) least: LeastError,
    /// Which of the two was asked for.
    pub(super) wanted: Wanted,
    /// How long the calibration took, in seconds.
    pub(super) seconds: f64,
    /// Milliseconds of every step of one picture, full and cached: the median of some runs.
    pub(super) latency: [Vec<f64>; 2],
    /// Bytes in the store after every step of one picture.
    pub(super) bytes: Vec<f64>,
}

/// Which plan a calibration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The published rule's.
    Paper,
    /// The one of least error.
    LeastError,
}

impl Measured {
    /// The plan that was asked for.
    pub(super) fn plan(&self) -> &CachePlan {
        match self.wanted {
            Wanted::Paper => &self.paper.plan,
            Wanted::LeastError => &self.least.plan,
        }
    }
}

/// Calibrates and traces.
pub(super) fn measure(args: &Args, full: &ClassToImage) -> Result<Measured> {
    let (gate_quantile, quantiles) = quantiles(args, full)?;
    let settings = Settings {
        variant: Variant::Dit,
        gate_quantile,
        quantiles,
        warm_up: WarmUp::Steps(args.warm_up),
        phases: Phases::Two,
    };
    let start = Instant::now();
    let mut paper = calibrate_on(args, full, &settings)?;
    let seconds = start.elapsed().as_secs_f64();
    let provenance = &mut paper.plan.provenance;
    provenance.tool = concat!("invardiff ", env!("CARGO_PKG_VERSION")).into();
    provenance.execution = Some(full.execution());
    provenance.calibration = Some(Calibration {
        conditions: classes(args, full).iter().map(|label| format!("class {label}")).collect(),
        seeds: seeds(args),
        guidance_scale: full.guidance_scale().filter(|_| !args.calibrate_unguided),
    });
    let topology = full.denoiser().topology();
    let compute = Cost::of(&paper.plan, &topology)?.compute_fraction();
    let least = least_error::plan(args, full, compute, &paper.plan.provenance)?;
    let wanted = if args.goal.is_set() { Wanted::LeastError } else { Wanted::Paper };
    let mut measured =
        Measured { paper, least, wanted, seconds, latency: [Vec::new(), Vec::new()], bytes: Vec::new() };
    let schedule = Arc::new(measured.plan().schedule(&topology)?);
    (measured.latency, measured.bytes) = trace(args, full, &schedule)?;
    Ok(measured)
}

/// The class of every calibration run.
pub(super) fn classes(args: &Args, full: &ClassToImage) -> Vec<usize> {
    (0..args.runs as usize).map(|run| run % full.model().config().num_classes).collect()
}

/// The seed of every calibration run.
pub(super) fn seeds(args: &Args) -> Vec<u64> {
    (0..u64::from(args.runs)).map(|run| args.seed.wrapping_add(run)).collect()
}

fn calibrate_on(args: &Args, full: &ClassToImage, settings: &Settings) -> Result<Outcome> {
    let pipeline = if args.calibrate_unguided { full.unguided() } else { full.clone() };
    let runs = classes(args, full)
        .into_iter()
        .zip(seeds(args))
        .map(|(class, seed)| Ok(Run { noise: pipeline.noise(&[seed]), cond: pipeline.condition(&[class])? }))
        .collect::<Result<Vec<Run<4, Tensor<1, Int>>>>>()?;
    let progress = bar(runs.len(), "calibrating (runs)");
    let options = RecordOptions::default();
    let found =
        calibrate(pipeline.denoiser(), pipeline.sampler(), &runs, settings, &options, &|| progress.inc(1));
    progress.finish_and_clear();
    Ok(found?)
}

/// Times every step of one picture, full and cached in turns, and notes what the store holds.
fn trace(args: &Args, full: &ClassToImage, schedule: &Arc<Schedule>) -> Result<([Vec<f64>; 2], Vec<f64>)> {
    const ROUNDS: usize = 3;
    let seed = args.seed.wrapping_add(u64::from(args.runs));
    let (noise, cond) = (full.noise(&[seed]), full.condition(&[0])?);
    let (mut rounds, mut bytes) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..ROUNDS {
        rounds[0].push(timed(full, &mut Full, &noise, &cond, |_| {}));
        bytes.clear();
        let mut replay = Replay::new(schedule.clone());
        let look = |policy: &Replay| bytes.push(policy.store().bytes() as f64);
        rounds[1].push(timed(full, &mut replay, &noise, &cond, look));
    }
    Ok((rounds.map(|rounds| medians(&rounds)), bytes))
}

/// Milliseconds of every step.
fn timed<P: Policy>(
    full: &ClassToImage,
    policy: &mut P,
    noise: &Tensor<4>,
    cond: &Tensor<1, Int>,
    mut look: impl FnMut(&P),
) -> Vec<f64> {
    let mut times = Vec::with_capacity(full.sampler().steps());
    let mut last = Instant::now();
    sample_with(full.denoiser(), full.sampler(), policy, noise.clone(), cond, |policy, _, _| {
        // The processor computes at once; other devices are waited for. An error would show up in the next reading.
        full.device().sync().ok();
        times.push(last.elapsed().as_secs_f64() * 1e3);
        look(policy);
        last = Instant::now();
    });
    times
}

/// The median of every step.
fn medians(rounds: &[Vec<f64>]) -> Vec<f64> {
    let steps = rounds.first().map_or(0, Vec::len);
    (0..steps)
        .map(|step| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round[step]).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        })
        .collect()
}
