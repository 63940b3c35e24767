//! Where a plan comes from, and whether it fits a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::site::Kind;

/// The settings of a sampling run that a plan depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// The model's name, e.g. `dit-xl-2-256`.
    pub model: String,
    /// SHA-256 of the weights file in hexadecimal; `None` for weights that come from no file.
    pub weights_sha256: Option<String>,
    /// The sampler's name, e.g. `ddim`.
    pub sampler: String,
    /// The time that the model is given at each step, in sampling order, `[steps]`.
    pub timesteps: Vec<f32>,
    /// Image height in pixels (in latent pixels for models without an autoencoder).
    pub height: usize,
    /// Image width in the same unit.
    pub width: usize,
    /// Guidance scale; `None` where the run is not guided.
    pub guidance_scale: Option<f32>,
    /// Element type of the features, e.g. `f32`.
    pub dtype: String,
}

/// A threshold: the quantile asked for, and the change rate found at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The stream that it applies to; [`Kind::TRUNK`] for the step gate.
    pub kind: Kind,
    /// The quantile asked for, in `[0, 1]`.
    pub quantile: f64,
    /// The change rate at that quantile.
    pub value: f32,
}

/// The runs that were measured to make a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The condition of each run: a class label or a prompt.
    pub conditions: Vec<String>,
    /// The seed of each run's starting noise.
    pub seeds: Vec<u64>,
    /// Guidance scale during calibration; `None` without guidance (the authors' DiT script).
    pub guidance_scale: Option<f32>,
}

/// Where a plan comes from. Every part may be missing; the authors' cache books carry none of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The method that made it: `invardiff-dit`, `uniform`, `random`, `least-error`, ..
    pub method: String,
    /// Name and version of the program that wrote it.
    pub tool: String,
    /// The run that it was made for.
    pub execution: Option<RunSpec>,
    /// The thresholds of the step gate and of each stream.
    pub thresholds: Vec<Threshold>,
    /// The number of steps at the start that are always computed.
    pub warm_up: Option<usize>,
    /// The runs that were measured.
    pub calibration: Option<Calibration>,
    /// Remarks in free text.
    pub notes: Vec<String>,
}

/// One difference between the run that a plan was made for and the run at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The field of [`RunSpec`] that differs.
    pub field: &'static str,
    /// Its value in the plan.
    pub plan: String,
    /// Its value in the run.
    pub run: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} in the plan and {} here", self.field, self.plan, self.run)
    }
}

pub(crate) fn list(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl RunSpec {
    /// The differences between the run that a plan was made for (`self`) and another run, field by field; empty where the
    /// plan fits.
    ///
    /// The hash of the weights is compared only where both have one. Timesteps may differ by up to 1e-3.
    pub fn mismatches(&self, run: &Self) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let mut note = |field, plan: &dyn fmt::Display, run: &dyn fmt::Display| {
            found.push(Mismatch { field, plan: plan.to_string(), run: run.to_string() });
        };
        if self.model != run.model {
            note("model", &self.model, &run.model);
        }
        if let (Some(plan), Some(here)) = (&self.weights_sha256, &run.weights_sha256)
            && plan != here
        {
            note("weights_sha256", plan, &format!("{here} (other weights, or another LoRA added to them)"));
        }
        if self.sampler != run.sampler {
            note("sampler", &self.sampler, &run.sampler);
        }
        if self.timesteps.len() != run.timesteps.len() {
            note("num_inference_steps", &self.timesteps.len(), &run.timesteps.len());
        } else if let Some(step) =
            self.timesteps.iter().zip(&run.timesteps).position(|(a, b)| (a - b).abs() > 1e-3)
        {
            let text = |times: &[f32]| format!("{} at step {step}", times[step]);
            note("timestep", &text(&self.timesteps), &text(&run.timesteps));
        }
        if (self.height, self.width) != (run.height, run.width) {
            note(
                "size",
                &format!("{}x{}", self.height, self.width),
                &format!("{}x{}", run.height, run.width),
            );
        }
        let scale = |scale: Option<f32>| scale.map_or_else(|| "none".to_owned(), |scale| scale.to_string());
        if self.guidance_scale != run.guidance_scale {
            note("guidance_scale", &scale(self.guidance_scale), &scale(run.guidance_scale));
        }
        if self.dtype != run.dtype {
            note("dtype", &self.dtype, &run.dtype);
        }
        found
    }
}
