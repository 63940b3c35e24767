//! The training settings in the header of a LoRA file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::keys::Parts;
use crate::load::safe;

/// The header entry in which the diffusers library stores training settings as JSON, and the prefix of their names.
const ENTRY: &str = "lora_adapter_metadata";
const PREFIX: &str = "transformer.";

/// The training settings that scale a file's pairs.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// The alpha of all pairs.
    alpha: Option<f32>,
    /// The alphas of some layers, by the end of their name.
    patterns: Vec<(String, f32)>,
    /// Whether alpha is divided by the square root of the rank instead of the rank (rsLoRA, Kalajdzievski 2023).
    pub(super) by_root: bool,
}

impl Settings {
    /// The settings in the header of a safetensors file.
    pub(super) fn read(path: &Path, parts: &BTreeMap<String, Parts>) -> Result<Self, String> {
        let Some(text) = safe::remarks(path)?.remove(ENTRY) else {
            return Ok(Self::default());
        };
        let document: Value =
            serde_json::from_str(&text).map_err(|error| format!("'{ENTRY}' in the header: {error}"))?;
        let entry = |name: &str| document.get(format!("{PREFIX}{name}"));
        let number = |name: &str, value: &Value| match value.as_f64() {
            Some(number) => Ok(number as f32),
            None => Err(format!("'{ENTRY}' in the header: {name} is {value}, expected a number")),
        };
        let alpha = entry("lora_alpha").map(|value| number("lora_alpha", value)).transpose()?;
        let by_root = entry("use_rslora").and_then(Value::as_bool).unwrap_or(false);
        let patterns = entry("alpha_pattern").and_then(Value::as_object).into_iter().flatten();
        let patterns = patterns
            .map(|(name, value)| Ok((name.clone(), number(name, value)?)))
            .collect::<Result<Vec<_>, String>>()?;
        if let Some((name, _)) =
            patterns.iter().find(|(end, _)| !parts.values().any(|parts| ends(&parts.name, end)))
        {
            return Err(format!("'{ENTRY}' in the header: alpha_pattern '{name}' is the name of no map"));
        }
        Ok(Self { alpha, patterns, by_root })
    }

    /// The alpha of a layer, if the settings have one.
    pub(super) fn alpha(&self, name: &str) -> Option<f32> {
        self.patterns.iter().find(|(end, _)| ends(name, end)).map(|(_, alpha)| *alpha).or(self.alpha)
    }
}

/// Whether `name` equals `end`, or ends with it after a dot.
fn ends(name: &str, end: &str) -> bool {
    name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
