//! Where a plan comes from, and whether it fits the run at hand.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::site::Kind;

/// Everything about a sampling run that a plan depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// The model's name, e.g. `dit-xl-2-256`.
    pub model: String,
    /// SHA-256 of the weights (hexadecimal), where they come from a file.
    pub weights_sha256: Option<String>,
    /// The sampler's name, e.g. `ddim`.
    pub sampler: String,
    /// The time of every step as the model is given it, in sampling order.
    pub timesteps: Vec<f32>,
    /// Picture height in pixels (or latent rows, for models without an autoencoder).
    pub height: usize,
    /// Picture width in pixels.
    pub width: usize,
    /// Guidance scale; `None` where the run is not guided.
    pub guidance_scale: Option<f32>,
    /// Element type of the features, e.g. `f32`.
    pub dtype: String,
}

/// A threshold as it was set and as it came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The stream it applies to; [`Kind::TRUNK`] for the step gate.
    pub kind: Kind,
    /// The quantile asked for, in `[0, 1]`.
    pub quantile: f64,
    /// The change rate at that quantile.
    pub value: f32,
}

/// What was measured to make a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The conditions (class labels or prompts), one a run.
    pub conditions: Vec<String>,
    /// The seed of each run's starting noise.
    pub seeds: Vec<u64>,
    /// Guidance scale during calibration; `None` where it ran without guidance, as the authors' DiT script does.
    pub guidance_scale: Option<f32>,
}

/// Where a plan comes from. Every part may be missing: the authors' books carry none of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// How the plan was made: `invardiff-dit`, `uniform`, `random`, `least-error`, ..
    pub method: String,
    /// The program and version that wrote it.
    pub tool: String,
    /// The run it was made for.
    pub execution: Option<RunSpec>,
    /// Thresholds by stream.
    pub thresholds: Vec<Threshold>,
    /// Steps at the start that are never reused.
    pub warm_up: Option<usize>,
    /// What was measured.
    pub calibration: Option<Calibration>,
    /// Remarks, one a line.
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
    /// What differs between the run a plan was made for (`self`) and the run at hand.
    ///
    /// A weight hash counts only where both sides have one. Timesteps agree within 1e-3.
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
