//! Flags for plans of least error: the goal, and what the plan may use.

use anyhow::{Result, bail, ensure};
use invardiff::units::parse_bytes;
use invardiff_calib::{Goal, SkipStrategy};
use invardiff_plan::core::Storage;
use invardiff_plan::{GateSite, OutputForm, TimeAxis};

/// The flags for the goal of a plan.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub(super) struct GoalFlags {
    /// Make a plan of least error with this speed-up instead of the published rule's plan
    #[arg(long, value_name = "X")]
    pub(super) target_speedup: Option<f64>,
    /// Make a plan of least error that computes this many steps
    #[arg(long, value_name = "N")]
    pub(super) compute_steps: Option<usize>,
    /// Make a plan of least error that draws one image in this many milliseconds, from step times measured on this machine
    #[arg(long, value_name = "MS")]
    pub(super) max_latency: Option<f64>,
    /// Make the fastest plan of least error whose images keep this mean PSNR to the full run (in dB, on the
    /// calibration's own conditions)
    #[arg(long, value_name = "DB")]
    pub(super) min_psnr: Option<f64>,
}

impl GoalFlags {
    /// The goal with its flag; `None` for the published rule's plan.
    fn asked(&self) -> Option<(Goal, &'static str)> {
        let speedup = self.target_speedup.map(|speedup| (Goal::Speedup(speedup), "--target-speedup"));
        let computed = self.compute_steps.map(|steps| (Goal::ComputedSteps(steps), "--compute-steps"));
        let latency = self.max_latency.map(|ms| (Goal::Latency(ms), "--max-latency"));
        let psnr = self.min_psnr.map(|decibels| (Goal::Psnr(decibels), "--min-psnr"));
        speedup.or(computed).or(latency).or(psnr)
    }

    /// Whether there is a goal, so that a plan of least error is made.
    pub(super) fn is_set(&self) -> bool {
        self.asked().is_some()
    }

    /// The goal, or without one at most `compute` of the full run's FLOPs.
    pub(super) fn or(&self, compute: f64) -> Goal {
        self.asked().map_or(Goal::ComputeFraction(compute), |(goal, _)| goal)
    }

    /// Checks what can be known of the goal before the model runs.
    ///
    /// # Errors
    /// When no plan of so many steps can reach it.
    pub(super) fn check(&self, steps: usize) -> Result<()> {
        let (told, expected) = match self.asked() {
            Some((Goal::Speedup(speedup), _)) if !(1.0..=steps as f64).contains(&speedup) => {
                (speedup.to_string(), format!("1 to {steps} for a run of {steps} steps"))
            }
            Some((Goal::ComputedSteps(computed), _)) if !(1..=steps).contains(&computed) => {
                (computed.to_string(), format!("1 to {steps}"))
            }
            Some((Goal::Latency(ms), _)) if !(ms.is_finite() && ms > 0.0) => {
                (ms.to_string(), "more than 0".into())
            }
            Some((Goal::Psnr(decibels), _)) if !(0.0..100.0).contains(&decibels) => {
                (decibels.to_string(), "0 to 100 dB".into())
            }
            _ => return Ok(()),
        };
        bail!("{} is {told}, expected {expected}", self.flag().unwrap_or_default());
    }

    /// The name of the goal's flag.
    pub(super) fn flag(&self) -> Option<&'static str> {
        self.asked().map(|(_, flag)| flag)
    }
}

/// The flags for what a plan of least error may use, and how features are cached.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Means {
    /// What the least-error plan reuses at skipped steps: the network's output in some form, or the trunk's hidden state; by
    /// default the one with the least error in replays
    #[arg(long, value_enum, value_name = "SITE")]
    skip_site: Option<SkipSite>,
    /// Hold the last computed value in the least-error plan instead of extrapolating the last two
    #[arg(long)]
    hold: bool,
    /// Extrapolate over the sampler's own time instead of step numbers
    #[arg(long)]
    sampler_time: bool,
    /// Also plan module reuse inside of computed steps by measured error (slow: many replays), and keep it if it helps
    #[arg(long)]
    plan_modules: bool,
    /// Add a row in which the least-error plan may compute up to this share of all steps in addition, for images that are
    /// harder than the calibration's
    #[arg(long, value_name = "SHARE")]
    guard: Option<f64>,
    /// Cache at most this much per image (such as 512kB, 1.5GB); modules that do not fit are computed
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    cache_budget: Option<u64>,
    /// Cache features in half precision; the report has one row with and one without it
    #[arg(long, value_enum, value_name = "DTYPE")]
    cache_dtype: Option<CacheDtype>,
}

impl Means {
    /// The skip strategies to try; a single one where the flags name it.
    pub(super) fn strategies(&self) -> Vec<SkipStrategy> {
        let asked = self.skip_site.map_or(SkipStrategy::DEFAULT.gate_site, SkipSite::gate_site);
        match (self.skip_site, self.hold) {
            (_, true) => vec![SkipStrategy::hold(asked)],
            (Some(_), false) => vec![SkipStrategy::linear(asked)],
            // A guard looks at extrapolated clean samples.
            (None, false) if self.guard.is_some() => vec![SkipStrategy::DEFAULT],
            (None, false) => SkipStrategy::ALL.to_vec(),
        }
    }

    /// The axis of extrapolation: step numbers or the sampler's time.
    pub(super) fn axis(&self) -> TimeAxis {
        if self.sampler_time { TimeAxis::Sampler } else { TimeAxis::Step }
    }

    /// Whether modules are planned.
    pub(super) fn plan_modules(&self) -> bool {
        self.plan_modules
    }

    /// The share of all steps that a guarded run may compute in addition.
    ///
    /// # Errors
    /// When it is not a share, or the plan cannot be guarded.
    pub(super) fn guard(&self) -> Result<Option<f64>> {
        if let Some(share) = self.guard {
            ensure!((0.0..=1.0).contains(&share), "--guard is {share}, expected a share from 0 to 1");
            ensure!(
                matches!(self.skip_site, None | Some(SkipSite::X0)) && !self.hold,
                "--guard looks at extrapolated clean samples: leave out --skip-site and --hold"
            );
        }
        Ok(self.guard)
    }

    /// The most bytes to cache for one image.
    pub(super) fn budget(&self) -> Option<usize> {
        self.cache_budget.map(|budget| budget as usize)
    }

    /// The precision of cached features.
    pub(super) fn storage(&self) -> Storage {
        self.cache_dtype.map_or(Storage::AsComputed, CacheDtype::storage)
    }
}

/// What is reused at a skipped step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SkipSite {
    /// The network's output as the clean sample it predicts.
    X0,
    /// The network's output as noise.
    Epsilon,
    /// The network's output as velocity.
    Velocity,
    /// The hidden state after the last block; the final layer is computed.
    Trunk,
}

impl SkipSite {
    fn gate_site(self) -> GateSite {
        match self {
            Self::X0 => GateSite::Output(OutputForm::X0),
            Self::Epsilon => GateSite::Output(OutputForm::Epsilon),
            Self::Velocity => GateSite::Output(OutputForm::Velocity),
            Self::Trunk => GateSite::Trunk,
        }
    }
}

/// Half precision for cached features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CacheDtype {
    /// float16: 11 significant bits.
    F16,
    /// bfloat16: 8 significant bits, the range of f32.
    Bf16,
}

impl CacheDtype {
    /// The precision as the schedule's type.
    pub(crate) fn storage(self) -> Storage {
        match self {
            Self::F16 => Storage::F16,
            Self::Bf16 => Storage::Bf16,
        }
    }
}
