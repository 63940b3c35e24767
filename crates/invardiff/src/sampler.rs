//! Which sampler: a choice by name, resolved to one type that the pipelines take.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Tensor;
use invardiff_models::DitConfig;
use invardiff_plan::OutputForm;
use invardiff_runtime::{
    Ddim, DdimHistory, DpmHistory, DpmSolverPlusPlus, Marginal, RuntimeError, Sampler, Spacing, UniPc,
    UniPcHistory,
};

/// A sampler by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SamplerKind {
    /// DDIM, respaced as the authors use it.
    #[default]
    Ddim,
    /// DPM-Solver++ 2M.
    DpmSolverPlusPlus,
    /// UniPC of order 2 (`bh2`).
    UniPc,
    /// UniPC of order 3.
    UniPc3,
    /// Flow-match Euler, the sampler of FLUX.
    FlowMatchEuler,
}

impl SamplerKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Ddim, Self::DpmSolverPlusPlus, Self::UniPc, Self::UniPc3, Self::FlowMatchEuler];

    /// The name that plans record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
            Self::DpmSolverPlusPlus => "dpm-solver++",
            Self::UniPc => "unipc",
            Self::UniPc3 => "unipc-3",
            Self::FlowMatchEuler => "flow-match-euler",
        }
    }
}

impl fmt::Display for SamplerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SamplerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// A sampler for DiT, as chosen at run time.
#[derive(Clone, Debug)]
pub enum DitSampler {
    /// DDIM.
    Ddim(Ddim),
    /// DPM-Solver++ 2M.
    Dpm(DpmSolverPlusPlus),
    /// UniPC.
    UniPc(UniPc),
}

/// The history of a [`DitSampler`].
#[derive(Debug)]
pub enum DitHistory {
    /// Of DDIM.
    Ddim(DdimHistory),
    /// Of DPM-Solver++.
    Dpm(Box<DpmHistory<4>>),
    /// Of UniPC.
    UniPc(Box<UniPcHistory<4>>),
}

impl DitSampler {
    /// A sampler of `num_inference_steps` steps over the schedule that the model was trained on.
    ///
    /// # Errors
    /// When the schedule cannot be cut into so many steps.
    pub fn new(
        kind: SamplerKind,
        config: &DitConfig,
        num_inference_steps: usize,
        eta: f64,
    ) -> Result<Self, RuntimeError> {
        let schedule = config.noise_schedule()?;
        let prediction = config.prediction_type;
        let sampler = match kind {
            SamplerKind::Ddim => {
                Self::Ddim(Ddim::new(&schedule, Spacing::Respaced, num_inference_steps, prediction)?)
            }
            SamplerKind::DpmSolverPlusPlus => Self::Dpm(DpmSolverPlusPlus::new(
                &schedule,
                Spacing::Linspace,
                num_inference_steps,
                prediction,
            )?),
            SamplerKind::UniPc | SamplerKind::UniPc3 => {
                let order = if kind == SamplerKind::UniPc { 2 } else { 3 };
                let spacing = Spacing::Linspace;
                Self::UniPc(UniPc::new(&schedule, spacing, num_inference_steps, prediction, order)?)
            }
            SamplerKind::FlowMatchEuler => {
                return Err(RuntimeError::Range {
                    what: "sampler",
                    value: "flow-match-euler".into(),
                    expected: "ddim, dpm-solver++ or unipc: a DiT does not predict a velocity along straight paths",
                });
            }
        };
        sampler.with_eta(eta, 0)
    }

    /// The same solver over some of its own steps, in rising order, without noise of its own.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when there are none, they do not rise, or there is no such step.
    pub fn with_steps(&self, config: &DitConfig, steps: &[usize]) -> Result<Self, RuntimeError> {
        let (schedule, prediction) = (config.noise_schedule()?, config.prediction_type);
        Ok(match self {
            Self::Ddim(sampler) => {
                let timesteps = chosen(&sampler.timesteps(), steps)?;
                Self::Ddim(Ddim::from_timesteps(&schedule, &timesteps, prediction)?)
            }
            Self::Dpm(sampler) => {
                let timesteps = chosen(sampler.timesteps(), steps)?;
                Self::Dpm(DpmSolverPlusPlus::from_timesteps(&schedule, &timesteps, prediction)?)
            }
            Self::UniPc(sampler) => {
                // Times of a noise schedule are whole.
                let times: Vec<usize> = sampler.times().iter().map(|time| *time as usize).collect();
                let timesteps = chosen(&times, steps)?;
                Self::UniPc(UniPc::from_timesteps(&schedule, &timesteps, prediction, sampler.order())?)
            }
        })
    }

    /// The same sampler with a share `eta` of fresh noise at every step, drawn from `seed`.
    ///
    /// # Errors
    /// [`RuntimeError::Range`] when `eta` is not in `[0, 1]`, or not 0 and the sampler draws no noise.
    pub fn with_eta(self, eta: f64, seed: u64) -> Result<Self, RuntimeError> {
        match self {
            Self::Ddim(sampler) => Ok(Self::Ddim(sampler.with_eta(eta, seed)?)),
            Self::Dpm(_) | Self::UniPc(_) if eta == 0.0 => Ok(self),
            Self::Dpm(_) | Self::UniPc(_) => Err(RuntimeError::Range {
                what: "eta",
                value: eta.to_string(),
                expected: "0: dpm-solver++ and unipc draw no noise, ddim does",
            }),
        }
    }
}

/// The values of these steps.
///
/// # Errors
/// [`RuntimeError::Range`] when they do not rise, or there is no such step.
pub(crate) fn chosen<T: Copy>(values: &[T], steps: &[usize]) -> Result<Vec<T>, RuntimeError> {
    let refuse = || RuntimeError::Range {
        what: "the steps that are kept",
        value: format!("{steps:?} of {}", values.len()),
        expected: "rising numbers of steps that the sampler has",
    };
    if !steps.is_sorted_by(|before, after| before < after) {
        return Err(refuse());
    }
    steps.iter().map(|step| values.get(*step).copied().ok_or_else(refuse)).collect()
}

/// Forwards to whichever sampler it is.
macro_rules! forward {
    ($self:ident, $sampler:ident => $body:expr) => {
        match $self {
            DitSampler::Ddim($sampler) => $body,
            DitSampler::Dpm($sampler) => $body,
            DitSampler::UniPc($sampler) => $body,
        }
    };
}

impl Sampler<4> for DitSampler {
    type History = DitHistory;

    fn name(&self) -> &'static str {
        forward!(self, sampler => Sampler::<4>::name(sampler))
    }

    fn steps(&self) -> usize {
        forward!(self, sampler => Sampler::<4>::steps(sampler))
    }

    fn time(&self, step: usize) -> f32 {
        forward!(self, sampler => Sampler::<4>::time(sampler, step))
    }

    fn schedule_time(&self, step: usize) -> f64 {
        forward!(self, sampler => Sampler::<4>::schedule_time(sampler, step))
    }

    fn noise_level(&self, step: usize) -> Marginal {
        forward!(self, sampler => Sampler::<4>::noise_level(sampler, step))
    }

    fn predicts(&self) -> OutputForm {
        forward!(self, sampler => Sampler::<4>::predicts(sampler))
    }

    fn start(&self) -> DitHistory {
        match self {
            Self::Ddim(sampler) => DitHistory::Ddim(Sampler::<4>::start(sampler)),
            Self::Dpm(sampler) => DitHistory::Dpm(Box::new(sampler.start())),
            Self::UniPc(sampler) => DitHistory::UniPc(Box::new(sampler.start())),
        }
    }

    fn advance(
        &self,
        history: &mut DitHistory,
        step: usize,
        x: Tensor<4>,
        prediction: Tensor<4>,
    ) -> Tensor<4> {
        match (self, history) {
            (Self::Ddim(sampler), DitHistory::Ddim(history)) => sampler.advance(history, step, x, prediction),
            (Self::Dpm(sampler), DitHistory::Dpm(history)) => sampler.advance(history, step, x, prediction),
            (Self::UniPc(sampler), DitHistory::UniPc(history)) => {
                sampler.advance(history, step, x, prediction)
            }
            (Self::Ddim(_) | Self::Dpm(_) | Self::UniPc(_), _) => {
                panic!("a history is started by the sampler that it is given back to")
            }
        }
    }

    fn deterministic(&self) -> Result<(), RuntimeError> {
        forward!(self, sampler => Sampler::<4>::deterministic(sampler))
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;
    use crate::embedded::Embedded;

    #[test]
    fn a_thinned_sampler_visits_the_steps_that_are_kept() {
        let model = Embedded::Fashion.load(&burn::tensor::Device::flex()).unwrap();
        for kind in
            [SamplerKind::Ddim, SamplerKind::DpmSolverPlusPlus, SamplerKind::UniPc, SamplerKind::UniPc3]
        {
            let whole = DitSampler::new(kind, model.config(), 10, 0.0).unwrap();
            let kept = whole.with_steps(model.config(), &[0, 3, 4, 8]).unwrap();
            let times: Vec<f32> = (0..kept.steps()).map(|step| kept.time(step)).collect();
            assert_eq!(times, [0, 3, 4, 8].map(|step| whole.time(step)));
            assert_eq!(kept.name(), whole.name());
            for steps in [&[][..], &[3, 1], &[2, 2], &[0, 10]] {
                assert!(whole.with_steps(model.config(), steps).is_err(), "{steps:?}");
            }
        }
    }
}
