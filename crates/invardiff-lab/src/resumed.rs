//! Shared code of the commands that train.

use std::path::Path;

use anyhow::{Result, ensure};
use invardiff::Pipeline;
use serde_json::{Map, Value, json};

use super::request::PromptFlags;

/// The flags that the result of a training depends on.
pub(crate) fn flags(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(flags) => flags,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// The part that depends on the model: its weights, and the subjects and sampling settings.
pub(crate) fn of_model<const D: usize, P: Pipeline<D>>(
    full: &P,
    prompts: &PromptFlags,
) -> Map<String, Value> {
    let run = full.execution();
    flags(json!({
        "--model": run.weights_sha256, "--dtype": run.dtype, "--height": run.height, "--width": run.width,
        "--prompt": prompts.prompt, "--prompts": prompts.prompts, "--negative-prompt": prompts.negative_prompt,
        "--true-cfg-scale": prompts.true_cfg_scale, "--max-sequence-length": prompts.max_sequence_length,
    }))
}

/// Refuses a state that was made with other flags.
///
/// # Errors
/// Names the first flag that differs.
pub(crate) fn same(asked: &Map<String, Value>, found: &Map<String, Value>, path: &Path) -> Result<()> {
    for (flag, value) in asked {
        let found = found.get(flag).unwrap_or(&Value::Null);
        ensure!(
            found == value,
            "{} was made with {flag} {found}, not {value}; give the same flags, or start anew without --resume",
            path.display()
        );
    }
    Ok(())
}

/// How many iterations are averaged for a point of the loss curve, so that there are about fifty points.
pub(crate) fn between(iterations: usize) -> usize {
    iterations.div_ceil(50).max(1)
}
