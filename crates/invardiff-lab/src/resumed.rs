//! Trainings that are resumed: the settings that their result depends on, kept with their state.

use std::path::Path;

use invardiff::{ModelFacts, PromptRequest};
use serde_json::{Map, Value, json};

use crate::error::{Result, ensure};

/// The members of an object: settings by the name of their field.
pub(crate) fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// The settings that depend on the model: its weights, the subjects and the sampling.
pub(crate) fn of_model(full: &impl ModelFacts, prompts: &PromptRequest) -> Map<String, Value> {
    let run = full.execution();
    members(json!({
        "model": run.weights_sha256, "dtype": run.dtype, "height": run.height, "width": run.width,
        "prompt": prompts.prompt, "prompts": prompts.prompts, "negative_prompt": prompts.negative_prompt,
        "true_cfg_scale": prompts.true_cfg_scale, "max_sequence_length": prompts.max_sequence_length,
    }))
}

/// Refuses a state that was made with other settings.
///
/// # Errors
/// Names the first setting that differs.
pub(crate) fn same(asked: &Map<String, Value>, found: &Map<String, Value>, path: &Path) -> Result<()> {
    for (field, value) in asked {
        let found = found.get(field).or_else(|| found.get(&older(field))).unwrap_or(&Value::Null);
        ensure!(
            found == value,
            "{} was made with {field} {found}, not {value}; give the same settings, or start anew instead of resuming",
            path.display()
        );
    }
    Ok(())
}

/// The name of a field in states that were written until 0.1: that of its flag.
fn older(field: &str) -> String {
    if field == "plan" { "PLAN".to_owned() } else { format!("--{}", field.replace('_', "-")) }
}

/// How many iterations are averaged for a point of the loss curve, so that there are about fifty points.
pub(crate) fn between(iterations: usize) -> usize {
    iterations.div_ceil(50).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_compared_under_their_names_of_today_and_before() {
        let asked = members(json!({ "batch_size": 4, "plan": "ab" }));
        let compare = |found: Value| same(&asked, &members(found), Path::new("state.safetensors"));
        assert!(compare(json!({ "batch_size": 4, "plan": "ab", "other": 1 })).is_ok());
        assert!(compare(json!({ "--batch-size": 4, "PLAN": "ab" })).is_ok());
        let message = compare(json!({ "--batch-size": 8, "PLAN": "ab" })).unwrap_err().to_string();
        assert!(message.starts_with("state.safetensors was made with batch_size 8, not 4"), "{message}");
        assert!(compare(json!({ "plan": "ab" })).is_err());
    }
}
