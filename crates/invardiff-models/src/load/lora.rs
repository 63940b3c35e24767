//! LoRA files (Hu et al. 2021): low-rank changes of a model's weights, merged while these are loaded.
//!
//! A file has a pair of matrices for each linear layer that it changes: `W + scale * alpha / rank * (up down)`. A layer may
//! have its name in the authors' layout or in diffusers', whichever the model's own file uses.

mod keys;
mod merge;
mod settings;
mod targets;

pub(super) use merge::Merged;
pub(super) use targets::Targets;

use std::collections::BTreeMap;

use super::checkpoint::Checkpoint;
use super::digest;
use super::error::{FoundTensor, KeyProblems, LoadError, Misshapen};
use super::options::Lora;
use keys::Parts;
use settings::Settings;

/// An open LoRA file that fits a model: its pairs, unread, by the flat names of the layers that they change.
pub(super) struct Opened {
    checkpoint: Checkpoint,
    scale: f32,
    pairs: BTreeMap<String, Pair>,
}

/// One pair, by its keys in the file.
struct Pair {
    /// `[rank, d_input]`
    down: String,
    /// `[d_output, rank]`
    up: String,
    /// The factor of their product.
    factor: f32,
}

impl Opened {
    /// Opens a file and compares it with the layers of a model.
    pub(super) fn new(lora: &Lora, targets: &Targets, model: String) -> Result<Self, LoadError> {
        let checkpoint = Checkpoint::open(&lora.path)?;
        let file = checkpoint.file.clone();
        let refuse = |detail| LoadError::Format { file: file.clone(), detail };
        if !lora.scale.is_finite() {
            return Err(refuse(format!("a strength of {} cannot be added", lora.scale)));
        }
        let (parts, strange) = keys::gather(&checkpoint);
        let problems = problems(&checkpoint, &parts, strange, targets);
        if !problems.is_empty() {
            return Err(LoadError::Keys { file, model, problems: Box::new(problems) });
        }
        let settings = Settings::read(&lora.path, &parts).map_err(refuse)?;
        let pairs = parts
            .into_iter()
            .map(|(flat, parts)| Ok((flat, parts.pair(&checkpoint, &settings, lora.scale)?)))
            .collect::<Result<_, LoadError>>()?;
        Ok(Self { checkpoint, scale: lora.scale, pairs })
    }
}

impl Parts {
    fn pair(self, checkpoint: &Checkpoint, settings: &Settings, scale: f32) -> Result<Pair, LoadError> {
        let rank = checkpoint.shape(&self.down).map_or(1, |shape| shape[0]) as f32;
        let own = self.alpha.map(|key| checkpoint.read(&key)).transpose()?;
        let own = own.and_then(|data| data.iter::<f32>().next());
        let alpha = own.or_else(|| settings.alpha(&self.name)).unwrap_or(rank);
        let divisor = if settings.by_root { rank.sqrt() } else { rank };
        Ok(Pair { down: self.down, up: self.up, factor: scale * alpha / divisor })
    }
}

/// Every key that does not fit the layers of a model.
fn problems(
    checkpoint: &Checkpoint,
    parts: &BTreeMap<String, Parts>,
    strange: Vec<String>,
    targets: &Targets,
) -> KeyProblems {
    let mut problems = KeyProblems::default();
    let shape = |key: &str| checkpoint.shape(key).unwrap_or(&[]).to_vec();
    let mut unused = strange;
    for (flat, parts) in parts {
        let Some([rows, columns]) = targets.get(flat) else {
            unused.extend(parts.keys().filter(|key| checkpoint.shape(key).is_some()).cloned());
            continue;
        };
        let rank = checkpoint.shape(&parts.down).and_then(|shape| shape.first()).copied().unwrap_or(1).max(1);
        let expected = [(&parts.down, vec![rank, columns]), (&parts.up, vec![rows, rank])];
        let alpha = parts.alpha.as_ref().map(|key| (key, Vec::new()));
        for (key, expected) in expected.into_iter().chain(alpha) {
            let (key, found) = (key.clone(), shape(key));
            if checkpoint.shape(&key).is_none() {
                problems.missing.push(FoundTensor { key, shape: expected });
            } else if !same_matrix(&found, &expected) {
                problems.misshapen.push(Misshapen { key, expected, found });
            } else if let Some(dtype) = checkpoint.dtype(&key).filter(|dtype| !dtype.is_float()) {
                problems.not_float.push((key, dtype.name().to_owned()));
            }
        }
    }
    problems.unused = unused.into_iter().map(|key| FoundTensor { shape: shape(&key), key }).collect();
    problems
}

/// Whether a tensor has the expected number of rows, and of values per row. (Convolutions have more axes, and a single number
/// may have one.)
fn same_matrix(found: &[usize], expected: &[usize]) -> bool {
    match expected {
        [] => found.iter().product::<usize>() == 1,
        [rows, rest @ ..] => {
            found.first() == Some(rows)
                && found[1..].iter().product::<usize>() == rest.iter().product::<usize>()
        }
    }
}

/// The hash of weights with LoRA files merged: without any, that of the weights; otherwise SHA-256 of the lines
/// `<SHA-256 of the weights>`, `<SHA-256 of a LoRA file> <its strength>`.
pub(super) fn merged_sha256(weights: String, loras: &[Opened]) -> Result<String, LoadError> {
    if loras.is_empty() {
        return Ok(weights);
    }
    let mut lines = vec![weights];
    for lora in loras {
        lines.push(format!("{} {}", lora.checkpoint.sha256()?, lora.scale));
    }
    Ok(digest::of_bytes((lines.join("\n") + "\n").as_bytes()))
}
