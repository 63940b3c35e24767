//! Which part of a file holds a model's weights.
//!
//! Training files hold raw and averaged weights side by side, both perhaps behind the wrappers of PyTorch, and files of whole
//! pipelines hold several models. A section is the prefix of one model's keys, recognised by a key that every such model has.

use super::file::Entries;
use super::layout::KeyLayout;

/// Names of PyTorch's wrapper modules, which can occur anywhere in a key.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Words in the name of a section that holds averaged weights.
const AVERAGED: [&str; 8] = ["ema", "averaged", "average", "avg", "swa", "shadow", "polyak", "moving"];

/// Names of sections that are not the model: optimizer state, gradients, and other parts with the same keys.
const OTHER: [&str; 14] = [
    "opt",
    "optim",
    "optimizer",
    "optimizer_state",
    "optimizer_state_dict",
    "exp_avg",
    "exp_avg_sq",
    "grad",
    "grads",
    "gradients",
    "vision_model",
    "visual",
    "controlnet",
    "control_model",
];

/// Usual names of sections that hold raw weights.
const RAW: [&str; 28] = [
    "",
    "module",
    "model",
    "models",
    "state_dict",
    "model_state_dict",
    "net",
    "network",
    "transformer",
    "diffusion_model",
    "denoiser",
    "dit",
    "unet",
    "backbone",
    "params",
    "weights",
    "raw",
    "online",
    "online_model",
    "first_stage_model",
    "vae",
    "text_encoder",
    "text_encoders",
    "text_model",
    "clip_l",
    "t5xxl",
    "pipe",
    "flux",
];

/// A part of a file that holds the weights of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// The naming of its weights.
    pub(super) layout: KeyLayout,
    /// The prefix of all its keys, without the last dot; empty for a whole file.
    pub(super) prefix: String,
    /// Whether the rest of its keys is without dots, as in the averages of latent diffusion's training code.
    dotless: bool,
}

impl Section {
    fn rank(&self) -> u8 {
        let parts = || self.prefix.split('.');
        let averaged = |part: &str| {
            part.split(|c: char| !c.is_alphanumeric())
                .any(|word| AVERAGED.contains(&word.to_lowercase().as_str()))
        };
        let known = |part: &str| RAW.contains(&part) || part.bytes().all(|byte| byte.is_ascii_digit());
        match () {
            () if parts().any(averaged) => 0,
            () if parts().all(known) => 1,
            () => 2,
        }
    }

    fn is_other(&self) -> bool {
        self.prefix.split('.').any(|part| OTHER.contains(&part))
    }
}

/// The keys without PyTorch's wrappers.
pub(super) fn unwrapped(entries: Entries) -> Entries {
    let mut plain = Entries::new();
    for (key, entry) in entries {
        let name: Vec<&str> = key.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
        let name = name.join(".");
        let name = if plain.contains_key(&name) { key } else { name };
        plain.insert(name, entry);
    }
    plain
}

/// All sections that contain a key that identifies a layout.
pub(super) fn all(entries: &Entries, signatures: &[(KeyLayout, &str)]) -> Vec<Section> {
    let mut found = Vec::<Section>::new();
    for (layout, signature) in signatures {
        let flat = signature.replace('.', "");
        for key in entries.keys() {
            let dotted = key.strip_suffix(signature).filter(|rest| rest.is_empty() || rest.ends_with('.'));
            let section = match dotted {
                Some(rest) => Some((rest.trim_end_matches('.').to_owned(), false)),
                None => key
                    .strip_suffix(&flat)
                    .filter(|rest| flat != *signature && rest.contains('.') && is_flat(rest))
                    .map(|rest| (rest.to_owned(), true)),
            };
            if let Some((prefix, dotless)) = section {
                let section = Section { layout: *layout, prefix, dotless };
                if !found.iter().any(|other| other.prefix == section.prefix) && !section.is_other() {
                    found.push(section);
                }
            }
        }
    }
    found
}

/// Whether a prefix is that of averaged weights without dots: `model_ema.` and the model's name.
fn is_flat(prefix: &str) -> bool {
    prefix.split_once('.').is_some_and(|(first, rest)| first.ends_with("ema") && !rest.contains('.'))
}

/// The section to read: the one that is asked for, or the only one with averaged weights, or the only one.
pub(super) fn choose(sections: &[Section], wanted: Option<&str>) -> Result<Option<Section>, String> {
    let list = || {
        let names = sections.iter().map(|section| match section.prefix.as_str() {
            "" => "the whole file".to_owned(),
            prefix => format!("'{prefix}'"),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    if let Some(wanted) = wanted {
        let named = |section: &&Section| {
            section.prefix == wanted || section.prefix.split('.').any(|part| part == wanted)
        };
        let found: Vec<&Section> = sections.iter().filter(named).collect();
        return match found[..] {
            [one] => Ok(Some(one.clone())),
            _ => Err(format!("there is no one section '{wanted}'; the weights are in {}", list())),
        };
    }
    let Some(rank) = sections.iter().map(Section::rank).min() else { return Ok(None) };
    let best: Vec<&Section> = sections.iter().filter(|section| section.rank() == rank).collect();
    match best[..] {
        [one] => Ok(Some(one.clone())),
        _ => Err(format!("the weights are in several sections, and one must be named: {}", list())),
    }
}

/// The tensors of a section under the model's names, and those of the raw section where this one is averaged: tensors that are
/// not trained, such as fixed positions, may be in that one alone.
pub(super) fn enter(entries: &Entries, section: &Section, sections: &[Section]) -> (Entries, Entries) {
    let raw = sections.iter().filter(|other| other.layout == section.layout && other.rank() == 1);
    let raw = raw.min_by_key(|other| other.prefix.len()).filter(|_| section.rank() == 0);
    let raw = raw.map(|raw| under(entries, &raw.prefix)).unwrap_or_default();
    if !section.dotless {
        return (under(entries, &section.prefix), raw);
    }
    let averaged = |key: &String| {
        let flat = format!("{}{}", section.prefix, key.replace('.', ""));
        Some((key.clone(), entries.get(&flat)?.clone()))
    };
    (raw.keys().filter_map(averaged).collect(), raw)
}

/// The tensors under a prefix, without it.
fn under(entries: &Entries, prefix: &str) -> Entries {
    if prefix.is_empty() {
        return entries.clone();
    }
    let inside = entries.iter().filter_map(|(key, entry)| {
        let rest = key.strip_prefix(prefix)?.strip_prefix('.')?;
        Some((rest.to_owned(), entry.clone()))
    });
    inside.collect()
}
