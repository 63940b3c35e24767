//! LoRA files: changes of a model's weights, merged while the weights are loaded.
//!
//! Most files have a pair of matrices for each linear layer that they change (Hu et al. 2021):
//! `W + scale * alpha / rank * (up down)`. A layer may have its name in the authors' layout or in diffusers', whichever the
//! model's own file uses.

mod change;
mod fit;
mod keys;
mod merge;
mod settings;
mod targets;

pub(super) use keys::Owner;
pub(super) use merge::Merged;
pub(super) use targets::Targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::digest;
use super::error::LoadError;
use super::options::Lora;
use change::Change;
use settings::Settings;

/// An open LoRA file that fits a model: its changes, unread, by the flat names of the layers that they change.
pub(super) struct Opened {
    checkpoint: Checkpoint,
    scale: f32,
    changes: BTreeMap<String, Change>,
    notes: Vec<String>,
}

impl Opened {
    /// Opens a file and compares its layers for `owner` with those of a model.
    pub(super) fn new(
        lora: &Lora,
        targets: &Targets,
        model: String,
        owner: Owner,
    ) -> Result<Self, LoadError> {
        let path = find(&lora.path)?;
        let checkpoint = Checkpoint::open(&path)?;
        let file = checkpoint.file.clone();
        let refuse = |detail| LoadError::Format { file: file.clone(), detail };
        if !lora.scale.is_finite() {
            return Err(refuse(format!("a strength of {} cannot be added", lora.scale)));
        }
        let (layers, strange) = keys::gather(&checkpoint);
        let problems = fit::problems(&checkpoint, &layers, strange, targets, owner);
        if !problems.is_empty() {
            return Err(LoadError::Keys { file, model, problems: Box::new(problems) });
        }
        let settings = Settings::read(&path, &layers).map_err(refuse)?;
        let mut changes = BTreeMap::new();
        let mut strengths = BTreeMap::<String, usize>::new();
        for ((of, flat), parts) in &layers {
            if *of == owner {
                let (change, strength) = Change::new(*of, parts, &checkpoint, &settings)?;
                *strengths.entry(strength).or_default() += 1;
                changes.insert(flat.clone(), change);
            }
        }
        let mut notes: Vec<String> = strengths
            .into_iter()
            .map(|(strength, count)| {
                format!("{file}: {count} layers of {} at strength {} ({strength})", owner.name(), lora.scale)
            })
            .collect();
        if notes.len() > fit::SHOWN {
            notes = vec![format!(
                "{file}: {} layers of {} at strength {}, with alphas of their own",
                changes.len(),
                owner.name(),
                lora.scale
            )];
        }
        Ok(Self { checkpoint, scale: lora.scale, changes, notes })
    }

    /// How strongly the file changes the model.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// Names of a LoRA in a folder, as PEFT and diffusers write them.
const IN_FOLDER: [&str; 4] = [
    "adapter_model.safetensors",
    "pytorch_lora_weights.safetensors",
    "adapter_model.bin",
    "pytorch_lora_weights.bin",
];

/// The file at a path: itself, or that in a folder.
fn find(path: &Path) -> Result<PathBuf, LoadError> {
    let refuse = |detail| LoadError::NotFound { path: path.display().to_string(), detail };
    if path.is_dir() {
        let found = IN_FOLDER.iter().map(|name| path.join(name)).find(|file| file.is_file());
        return found.ok_or_else(|| refuse(format!("the folder has none of {}", IN_FOLDER.join(", "))));
    }
    if path.is_file() { Ok(path.to_owned()) } else { Err(refuse("there is no such file".into())) }
}

/// The hash of weights with LoRA files merged. Without LoRA files it is the hash of the weights; otherwise SHA-256 of the lines
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
