//! `invardiff bench-model --calibration`.

use std::fmt;

use anyhow::Result;
use burn::tensor::Tensor;
use invardiff::units::bytes;
use invardiff::{OpenDevice, Preset};
use invardiff_calib::Run;
use invardiff_lab::bench_model::{CalibrationSubject, CalibrationTimes, Trials};
use invardiff_plan::two_phase::Variant;
use invardiff_runtime::{Denoiser, GaussianNoise, Sampler};
use serde::Serialize;

use super::args::Args;
use super::outcome::{line, middle, milliseconds};
use crate::progress::bar;

/// The whole output of the command.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CalibrationOutcome {
    model: String,
    device: String,
    device_model: Option<String>,
    dtype: &'static str,
    seed: u64,
    num_inference_steps: usize,
    rounds: usize,
    warm_up: usize,
    passes: usize,
    plain: Kind,
    calibration: Kind,
    with_similarity: Kind,
}

/// Runs of one kind.
#[derive(Clone, Debug, Serialize)]
struct Kind {
    ms: Vec<f64>,
    cpu_ms: Option<Vec<f64>>,
    peak_rss_bytes: Option<u64>,
    ratio: Option<f64>,
    cpu_ratio: Option<f64>,
}

/// Times calibrations of one image.
///
/// # Errors
/// When the device fails.
pub(super) fn measure<const D: usize, M, S>(
    args: &Args,
    device: &OpenDevice,
    variant: Variant,
    model: &M,
    sampler: &S,
    shape: [usize; D],
    cond: M::Cond,
) -> Result<CalibrationOutcome>
where
    M: Denoiser<D> + Sync,
    M::Cond: Sync,
    S: Sampler<D> + Sync,
{
    let topology = model.topology();
    let settings = Preset::PaperFast.settings(variant, &topology);
    let noise: Tensor<D> = GaussianNoise::seeded(args.seed).draw(shape, device);
    let probe = variant == Variant::Flux;
    let run = Run { noise, cond };
    let subject = CalibrationSubject { model, sampler, run, settings: &settings, probe, device };
    let (rounds, warm_up) = (args.rounds as usize, args.warm_up as usize);
    let progress = bar(3 * (rounds + warm_up), "timing (trajectories)");
    let measured = subject.measure(rounds, warm_up, &|| progress.inc(1))?;
    progress.finish_and_clear();
    Ok(CalibrationOutcome::new(args, device, topology.model, sampler.steps(), &measured))
}

impl CalibrationOutcome {
    fn new(
        args: &Args,
        device: &OpenDevice,
        model: String,
        steps: usize,
        measured: &CalibrationTimes,
    ) -> Self {
        let plain = &measured.plain;
        Self {
            model,
            device: device.choice().to_string(),
            device_model: device.model(),
            dtype: args.dtype.name(),
            seed: args.seed,
            num_inference_steps: steps,
            rounds: args.rounds as usize,
            warm_up: args.warm_up as usize,
            passes: measured.passes,
            plain: Kind::of(plain, plain),
            calibration: Kind::of(&measured.calibration, plain),
            with_similarity: Kind::of(&measured.with_similarity, plain),
        }
    }
}

impl Kind {
    fn of(trials: &Trials, plain: &Trials) -> Self {
        Self {
            ms: trials.wall_ms(),
            cpu_ms: trials.cpu_ms(),
            peak_rss_bytes: trials.peak_rss(),
            ratio: plain.speedup_over(trials),
            cpu_ratio: plain.cpu_speedup_over(trials),
        }
    }
}

impl fmt::Display for CalibrationOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {}, {}, random weights (seed {}), {} steps, one image without guidance",
            self.model, self.device, self.dtype, self.seed, self.num_inference_steps
        )?;
        for (name, kind) in [
            ("plain run", &self.plain),
            ("calibration", &self.calibration),
            ("with similarity", &self.with_similarity),
        ] {
            let cpu = kind
                .cpu_ms
                .as_deref()
                .map_or(String::new(), |cpu| format!(", CPU {}", milliseconds(middle(cpu))));
            line(f, name, &milliseconds(middle(&kind.ms)), &format!("median of {}{cpu}", kind.ms.len()))?;
        }
        for (name, kind) in [("calibration", &self.calibration), ("with similarity", &self.with_similarity)] {
            let cpu = kind.cpu_ratio.map_or(String::new(), |ratio| format!(", {ratio:.3} in CPU time"));
            let ratio = kind.ratio.map_or("-".into(), |ratio| format!("{ratio:.3}"));
            line(f, &format!("{name} over plain"), &ratio, &format!("passes: {}{cpu}", self.passes))?;
        }
        let memory =
            |kind: &Kind| kind.peak_rss_bytes.map_or("unknown".into(), |value| bytes(value as usize));
        let plain = format!("{} in a plain run", memory(&self.plain));
        write!(f, "{:24} {:>14}   {plain}", "peak memory, calibration", memory(&self.calibration))
    }
}
