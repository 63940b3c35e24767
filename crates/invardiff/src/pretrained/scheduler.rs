//! The settings of a diffusers scheduler, as far as there is a sampler that follows them.

use std::fmt::Debug;
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
        Some(other) => Err(Error::Model(format!(
            "the scheduler is a {other}; samplers here follow FlowMatchEulerDiscreteScheduler and DDIMScheduler"
        ))),
        None => Err(Error::Model("'_class_name' is missing".to_owned())),
    }
}

/// The fields of a scheduler; one that is absent or null has diffusers' default.
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn field<T: DeserializeOwned>(&self, name: &str, default: T) -> Result<T> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => T::deserialize(value)
                .map_err(|source| Error::Json { place: format!("'{name}' is {value}"), source }),
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
        let problem = format!("'{name}' is {found:?}, expected {expected:?}: no sampler here does otherwise");
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
    fields.expect("num_train_timesteps", 1000, 1000)?;
    fields.expect("beta_start", 1e-4, 1e-4)?;
    fields.expect("beta_end", 2e-2, 2e-2)?;
    fields.expect("beta_schedule", "linear".to_owned(), "linear".to_owned())?;
    fields.expect("trained_betas", Vec::<f64>::new(), Vec::new())?;
    fields.expect("clip_sample", true, false)?;
    fields.expect("thresholding", false, false)?;
    fields.expect("set_alpha_to_one", true, true)?;
    fields.expect("rescale_betas_zero_snr", false, false)?;
    Ok(SchedulerConfig::Ddim(match fields.field("prediction_type", "epsilon".to_owned())?.as_str() {
        "epsilon" => OutputForm::Epsilon,
        "sample" => OutputForm::X0,
        "v_prediction" => OutputForm::Velocity,
        other => {
            let problem = format!("'prediction_type' is {other}, expected epsilon, sample or v_prediction");
            return Err(Error::Model(problem));
        }
    }))
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
                DIT.replace("DDIMScheduler", "PNDMScheduler"),
                "the scheduler is a PNDMScheduler; samplers here follow",
            ),
            ("{}".to_owned(), "'_class_name' is missing"),
            ("[".to_owned(), "no settings of a scheduler"),
        ];
        for (text, expected) in cases {
            let message = crate::fault::with_causes(&parse(&text).unwrap_err());
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}
