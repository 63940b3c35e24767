//! The settings of a diffusers scheduler, as far as there is a sampler that follows them.

use std::fmt::{Debug, Display};
use std::path::Path;

use invardiff_plan::OutputForm;
use invardiff_runtime::Shift;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{About, Error, Result};

/// What a folder says of its sampler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SchedulerConfig {
    /// Flow-match Euler.
    FlowMatchEuler(FlowShift),
    /// DDIM over DiT's noise schedule, with what the model predicts. The timesteps are still those of the DiT authors'
    /// respacing, which plans are made for.
    Ddim(OutputForm),
    /// Another scheduler over DiT's noise schedule, with what the model predicts. Its steps are not followed.
    Other {
        /// diffusers' class.
        class: &'static str,
        /// What the model predicts.
        predicts: OutputForm,
    },
}

/// How the sigmas of flow-match Euler are shifted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FlowShift {
    /// By the same for every size.
    Static(f64),
    /// By the number of an image's tokens: the logarithm of the shift is on a line.
    Dynamic {
        /// Tokens at the line's first point.
        base_image_seq_len: f64,
        /// Tokens at its second point.
        max_image_seq_len: f64,
        /// The logarithm of the shift at the first point.
        base_shift: f64,
        /// The logarithm of the shift at the second point.
        max_shift: f64,
    },
}

impl FlowShift {
    /// That of FLUX.1-dev.
    pub const DEV: Self = Self::Dynamic {
        base_image_seq_len: 256.0,
        max_image_seq_len: 4096.0,
        base_shift: 0.5,
        max_shift: 1.15,
    };
    /// That of FLUX.1-schnell: none.
    pub const SCHNELL: Self = Self::Static(1.0);

    /// The shift for an image of `image_seq_len` packed tokens.
    pub fn of(self, image_seq_len: usize) -> Shift {
        match self {
            Self::Static(shift) => Shift::Static(shift),
            Self::Dynamic { base_image_seq_len, max_image_seq_len, base_shift, max_shift } => {
                let slope = (max_shift - base_shift) / (max_image_seq_len - base_image_seq_len);
                Shift::Dynamic {
                    mu: image_seq_len as f64 * slope + (base_shift - slope * base_image_seq_len),
                }
            }
        }
    }
}

/// The settings in a pipeline's folder; `None` where it has none.
///
/// # Errors
/// For a scheduler, or a setting of one, that no sampler here follows; names the file and the setting.
pub(super) fn read(folder: &Path) -> Result<Option<SchedulerConfig>> {
    let path = folder.join("scheduler").join("scheduler_config.json");
    if !path.is_file() {
        return Ok(None);
    }
    let text = crate::files::settings(&path)?;
    parse(&text).about(path.display()).map(Some)
}

fn parse(text: &str) -> Result<SchedulerConfig> {
    let value: Value = serde_json::from_str(text)
        .map_err(|source| Error::Json { place: "no settings of a scheduler".to_owned(), source })?;
    let fields = Fields(&value);
    match value.get("_class_name").and_then(Value::as_str) {
        Some("FlowMatchEulerDiscreteScheduler") => flow(&fields),
        Some("DDIMScheduler") => ddim(&fields),
        Some(other) => match OTHERS.iter().find(|class| **class == other) {
            Some(class) => {
                noise(&fields)?;
                fields.expect("clip_sample", false, false)?;
                Ok(SchedulerConfig::Other { class, predicts: predicts(&fields)? })
            }
            None => Err(Error::Model(format!(
                "the scheduler is a {}; samplers here follow FlowMatchEulerDiscreteScheduler, DDIMScheduler and other \
                 schedulers over DDIM's noise levels",
                short(other)
            ))),
        },
        None => Err(Error::Model("'_class_name' is missing".to_owned())),
    }
}

/// diffusers' schedulers over noise levels that a DiT may be sampled with; the models are the same for all.
const OTHERS: [&str; 10] = [
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "DDPMScheduler",
];

/// The most characters of a value that a message has.
const SHOWN: usize = 60;

/// The beginning of a value: some are lists of a thousand numbers.
fn short(value: impl Display) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ..", &text[..end]),
        None => text,
    }
}

/// The fields of a scheduler; one that is absent or null has diffusers' default.
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn field<T: DeserializeOwned>(&self, name: &str, default: T) -> Result<T> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => T::deserialize(value)
                .map_err(|source| Error::Json { place: format!("'{name}' is {}", short(value)), source }),
        }
    }

    fn number(&self, name: &str, default: f64) -> Result<f64> {
        self.field(name, default)
    }

    /// Refuses another value than the one that the samplers here have.
    fn expect<T>(&self, name: &str, default: T, expected: T) -> Result<()>
    where
        T: DeserializeOwned + PartialEq + Debug,
    {
        let found = self.field(name, default)?;
        if found == expected {
            return Ok(());
        }
        let found = short(format!("{found:?}"));
        let problem = format!("'{name}' is {found}, expected {expected:?}: no sampler here does otherwise");
        Err(Error::Model(problem))
    }
}

/// `FlowMatchEulerDiscreteScheduler`.
fn flow(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    for name in [
        "invert_sigmas",
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "stochastic_sampling",
    ] {
        fields.expect(name, false, false)?;
    }
    fields.expect("shift_terminal", 0.0, 0.0)?;
    if !fields.field("use_dynamic_shifting", false)? {
        let shift = fields.number("shift", 1.0)?;
        if !(shift > 0.0 && shift.is_finite()) {
            return Err(Error::Model(format!("'shift' is {shift}, expected more than 0")));
        }
        return Ok(SchedulerConfig::FlowMatchEuler(FlowShift::Static(shift)));
    }
    fields.expect("time_shift_type", "exponential".to_owned(), "exponential".to_owned())?;
    let base_image_seq_len = fields.number("base_image_seq_len", 256.0)?;
    let max_image_seq_len = fields.number("max_image_seq_len", 4096.0)?;
    if base_image_seq_len.partial_cmp(&max_image_seq_len) != Some(std::cmp::Ordering::Less) {
        return Err(Error::Model(format!(
            "'max_image_seq_len' is {max_image_seq_len}, expected more than base_image_seq_len {base_image_seq_len}"
        )));
    }
    Ok(SchedulerConfig::FlowMatchEuler(FlowShift::Dynamic {
        base_image_seq_len,
        max_image_seq_len,
        base_shift: fields.number("base_shift", 0.5)?,
        max_shift: fields.number("max_shift", 1.15)?,
    }))
}

/// `DDIMScheduler`, with the noise schedule that DiT was trained on.
fn ddim(fields: &Fields<'_>) -> Result<SchedulerConfig> {
    noise(fields)?;
    fields.expect("clip_sample", true, false)?;
    fields.expect("set_alpha_to_one", true, true)?;
    Ok(SchedulerConfig::Ddim(predicts(fields)?))
}

/// Refuses other noise levels than those that DiT was trained on.
fn noise(fields: &Fields<'_>) -> Result<()> {
    fields.expect("num_train_timesteps", STEPS, STEPS)?;
    fields.expect("thresholding", false, false)?;
    fields.expect("rescale_betas_zero_snr", false, false)?;
    let betas = fields.field("trained_betas", Vec::<f64>::new())?;
    let linear = |step: usize| BETAS[0] + (BETAS[1] - BETAS[0]) * step as f64 / (STEPS - 1) as f64;
    let is_linear = |betas: &[f64]| {
        betas.len() == STEPS
            && betas.iter().enumerate().all(|(step, beta)| (beta - linear(step)).abs() < 1e-7)
    };
    if !betas.is_empty() {
        // They stand in place of the other fields.
        return if is_linear(&betas) {
            Ok(())
        } else {
            fields.expect("trained_betas", Vec::<f64>::new(), Vec::new())
        };
    }
    fields.expect("beta_start", BETAS[0], BETAS[0])?;
    fields.expect("beta_end", BETAS[1], BETAS[1])?;
    fields.expect("beta_schedule", "linear".to_owned(), "linear".to_owned())
}

/// DiT's noise schedule: the first and last beta, and how many.
const BETAS: [f64; 2] = [1e-4, 2e-2];
const STEPS: usize = 1000;

/// What the model predicts.
fn predicts(fields: &Fields<'_>) -> Result<OutputForm> {
    Ok(match fields.field("prediction_type", "epsilon".to_owned())?.as_str() {
        "epsilon" => OutputForm::Epsilon,
        "sample" => OutputForm::X0,
        "v_prediction" => OutputForm::Velocity,
        other => {
            let problem = format!("'prediction_type' is {other}, expected epsilon, sample or v_prediction");
            return Err(Error::Model(problem));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file of FLUX.1-dev.
    const DEV: &str = r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.30.0.dev0",
        "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15,
        "num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": true}"#;
    /// The file of DiT-XL/2.
    const DIT: &str = r#"{"_class_name": "DDIMScheduler", "_diffusers_version": "0.12.0.dev0", "beta_end": 0.02,
        "beta_schedule": "linear", "beta_start": 0.0001, "clip_sample": false, "num_train_timesteps": 1000,
        "prediction_type": "epsilon", "set_alpha_to_one": true, "steps_offset": 0, "trained_betas": null}"#;

    #[test]
    fn the_published_files_are_followed() {
        assert_eq!(parse(DEV).unwrap(), SchedulerConfig::FlowMatchEuler(FlowShift::DEV));
        for tokens in [256, 1024, 4096, 16_384] {
            assert_eq!(FlowShift::DEV.of(tokens), Shift::for_image(tokens));
        }
        let schnell = DEV.replace("\"use_dynamic_shifting\": true", "\"use_dynamic_shifting\": false");
        let static_shift = parse(&schnell.replace("3.0", "1.0")).unwrap();
        assert_eq!(static_shift, SchedulerConfig::FlowMatchEuler(FlowShift::SCHNELL));
        assert_eq!(parse(DIT).unwrap(), SchedulerConfig::Ddim(OutputForm::Epsilon));
    }

    #[test]
    fn what_no_sampler_follows_is_named() {
        let changed = |text: &str, with: &str| text.replace("\"shift\": 3.0", with);
        let cases = [
            (changed(DEV, "\"use_karras_sigmas\": true"), "'use_karras_sigmas' is true, expected false"),
            (changed(DEV, "\"shift_terminal\": 0.02"), "'shift_terminal' is 0.02, expected 0.0"),
            (changed(DEV, "\"time_shift_type\": \"linear\""), "'time_shift_type' is \"linear\""),
            (DEV.replace("4096", "256"), "'max_image_seq_len' is 256"),
            (DEV.replace("1.15", "\"a\""), "'max_shift' is \"a\""),
            (DIT.replace("\"linear\"", "\"squaredcos_cap_v2\""), "'beta_schedule' is \"squaredcos_cap_v2\""),
            (DIT.replace("\"clip_sample\": false,", ""), "'clip_sample' is true, expected false"),
            (DIT.replace("epsilon", "flow"), "'prediction_type' is flow"),
            (
                DIT.replace("DDIMScheduler", "VQDiffusionScheduler"),
                "the scheduler is a VQDiffusionScheduler; samplers here follow",
            ),
            (
                DIT.replace("DDIMScheduler", "PNDMScheduler").replace("0.02", "0.012"),
                "'beta_end' is 0.012, expected 0.02",
            ),
            ("{}".to_owned(), "'_class_name' is missing"),
            ("[".to_owned(), "no settings of a scheduler"),
        ];
        for (text, expected) in cases {
            let message = crate::fault::with_causes(&parse(&text).unwrap_err());
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    /// The steps of other schedulers are not followed, but the model is the same.
    #[test]
    fn other_schedulers_over_the_same_noise_are_told() {
        let dpm = DIT.replace("DDIMScheduler", "DPMSolverMultistepScheduler");
        let expected =
            SchedulerConfig::Other { class: "DPMSolverMultistepScheduler", predicts: OutputForm::Epsilon };
        assert_eq!(parse(&dpm).unwrap(), expected);
    }

    #[test]
    fn betas_as_a_list_are_compared_and_never_printed_whole() {
        let list = |last: f64| -> String {
            let betas: Vec<f64> = (0..1000).map(|i| 1e-4 + (last - 1e-4) * f64::from(i) / 999.0).collect();
            DIT.replace("\"trained_betas\": null", &format!("\"trained_betas\": {betas:?}"))
        };
        assert_eq!(parse(&list(0.02)).unwrap(), SchedulerConfig::Ddim(OutputForm::Epsilon));
        let message = crate::fault::with_causes(&parse(&list(0.03)).unwrap_err());
        assert!(message.contains("'trained_betas' is [0.0001, 0.000129") && message.len() < 200, "{message}");
    }
}
