//! The scaling settings of a LoRA outside of its tensors: in the file's header, or in `adapter_config.json`.

use std::path::Path;

use invardiff_plan::files;
use serde_json::Value;

use super::keys::{Layers, Owner};
use crate::load::file::remarks;

/// Names of the alpha of all pairs.
const ALPHA: [&str; 3] = ["lora_alpha", "alpha", "network_alpha"];
/// Names of the rank.
const RANK: [&str; 3] = ["r", "rank", "lora_rank"];

/// The training settings that scale a file's pairs, one entry per source that has any.
#[derive(Debug, Default)]
pub(super) struct Settings(Vec<Source>);

/// The settings of one source.
#[derive(Debug)]
struct Source {
    /// Where they were found, for errors.
    place: String,
    /// The part of the pipeline that they are for; `None` for all parts.
    owner: Option<Owner>,
    /// The alpha of all pairs.
    alpha: Option<f32>,
    /// The rank of all pairs.
    rank: Option<f32>,
    /// The alphas of some layers, by the end of their name.
    patterns: Vec<(String, f32)>,
    /// The ranks of some layers, by the end of their name.
    ranks: Vec<(String, f32)>,
    /// Whether alpha is divided by the square root of the rank instead of the rank (rsLoRA, Kalajdzievski 2023).
    by_root: bool,
}

impl Settings {
    /// The settings in the header of a safetensors file and in the `adapter_config.json` beside it.
    pub(super) fn read(path: &Path, layers: &Layers) -> Result<Self, String> {
        let mut sources = Vec::new();
        let mut plain = serde_json::Map::new();
        // The training scripts of kohya describe a run under `ss_`; its files have alphas among the tensors.
        let own = |name: &str| !["ss_", "sshs_", "modelspec."].iter().any(|prefix| name.starts_with(prefix));
        for (name, text) in remarks(path).unwrap_or_default().into_iter().filter(|(name, _)| own(name)) {
            let place = format!("'{name}' in the header");
            match serde_json::from_str::<Value>(&text) {
                Ok(Value::Object(document)) => sources.extend(of_document(&place, &document)?),
                Err(error) if name == "lora_adapter_metadata" => return Err(format!("{place}: {error}")),
                _ => {
                    let number = text.trim().parse::<f64>().ok().map(Value::from);
                    plain.insert(name, number.unwrap_or(Value::String(text)));
                }
            }
        }
        sources.extend(of_document("the header", &plain)?);
        if let Some((place, document)) = beside(path)? {
            sources.extend(of_document(&place, &document)?);
        }
        for source in &sources {
            let unknown = source.patterns.iter().chain(&source.ranks).find(|(end, _)| {
                !layers.iter().any(|((owner, _), parts)| source.is_for(*owner) && ends(&parts.name, end))
            });
            if let Some((name, _)) = unknown {
                return Err(format!("{}: the pattern '{name}' is the name of no layer", source.place));
            }
        }
        Ok(Self(sources))
    }

    /// The factor of a layer's change, and where it was found. `own` is the alpha among the tensors.
    ///
    /// Two sources that differ are an error, because neither is known to be right.
    pub(super) fn factor(
        &self,
        owner: Owner,
        name: &str,
        rank: f32,
        own: Option<f32>,
    ) -> Result<(f32, String), String> {
        let sources = || self.0.iter().filter(|source| source.is_for(owner));
        let by_root = sources().any(|source| source.by_root);
        let divisor = if by_root { rank.sqrt() } else { rank };
        let mut found: Vec<(f32, String)> = Vec::new();
        if let Some(alpha) = own {
            found.push((alpha, "the tensors".to_owned()));
        }
        for source in sources() {
            let Some(alpha) = source.alpha(name) else { continue };
            if let Some(said) = source.rank(name).filter(|said| *said != rank && own.is_none()) {
                return Err(format!(
                    "{} has rank {said} for '{name}', its matrices have {rank}",
                    source.place
                ));
            }
            found.push((alpha, source.place.clone()));
        }
        let Some((alpha, place)) = found.first().cloned() else {
            return Ok((rank / divisor, format!("no alpha is given, so alpha is the rank {rank}")));
        };
        if let Some((other, at)) = found.iter().find(|(other, _)| (other - alpha).abs() > 1e-6 * alpha.abs())
        {
            return Err(format!(
                "two strengths are given for '{name}': alpha {alpha} in {place}, {other} in {at}; correct the one that is \
                 wrong"
            ));
        }
        let root = if by_root { "the root of " } else { "" };
        Ok((alpha / divisor, format!("alpha {alpha} over {root}rank {rank}, from {place}")))
    }
}

impl Source {
    fn is_for(&self, owner: Owner) -> bool {
        self.owner.is_none_or(|own| own == owner)
    }

    fn alpha(&self, name: &str) -> Option<f32> {
        self.patterns.iter().find(|(end, _)| ends(name, end)).map(|(_, alpha)| *alpha).or(self.alpha)
    }

    fn rank(&self, name: &str) -> Option<f32> {
        self.ranks.iter().find(|(end, _)| ends(name, end)).map(|(_, rank)| *rank).or(self.rank)
    }
}

/// Prefixes of setting names, and the part each stands for.
const OWNERS: [(&str, Option<Owner>); 5] = [
    ("", None),
    ("transformer.", Some(Owner::Transformer)),
    ("unet.", Some(Owner::Transformer)),
    ("text_encoder.", Some(Owner::Clip)),
    ("text_encoder_2.", Some(Owner::T5)),
];

/// The settings in an object, with and without a prefix.
fn of_document(place: &str, document: &serde_json::Map<String, Value>) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for (prefix, owner) in OWNERS {
        let entry = |name: &str| document.get(&format!("{prefix}{name}")).filter(|value| !value.is_null());
        let number = |name: &str, value: &Value| {
            let text = || value.as_str().and_then(|text| text.trim().parse().ok());
            let number = if prefix.is_empty() { value.as_f64().or_else(text) } else { value.as_f64() };
            let number = number.filter(|number: &f64| number.is_finite());
            number.map(|number| number as f32).ok_or_else(|| {
                let value: String = value.to_string().chars().take(40).collect();
                format!("{place}: {name} is {value}, expected a number")
            })
        };
        let first = |names: [&str; 3]| {
            let found = names.into_iter().find_map(|name| Some((name, entry(name)?)));
            found.map(|(name, value)| number(name, value)).transpose()
        };
        let patterns = |name: &str| {
            let patterns = entry(name).and_then(Value::as_object).into_iter().flatten();
            patterns
                .map(|(end, value)| Ok((end.clone(), number(end, value)?)))
                .collect::<Result<Vec<_>, String>>()
        };
        let source = Source {
            place: place.to_owned(),
            owner,
            alpha: first(ALPHA)?,
            rank: first(RANK)?,
            patterns: patterns("alpha_pattern")?,
            ranks: patterns("rank_pattern")?,
            by_root: entry("use_rslora").is_some_and(|value| {
                value
                    .as_bool()
                    .unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
            }),
        };
        if source.alpha.is_some() || !source.patterns.is_empty() || source.by_root {
            sources.push(source);
        }
    }
    Ok(sources)
}

/// A JSON object and where it was found.
type Document = (String, serde_json::Map<String, Value>);

/// The settings that PEFT writes beside a file. They are those of `adapter_model`, or of any file where there is none.
fn beside(path: &Path) -> Result<Option<Document>, String> {
    let file = path.with_file_name("adapter_config.json");
    let of_another =
        ["safetensors", "bin"].map(|ending| path.with_file_name(format!("adapter_model.{ending}")));
    let is_own =
        of_another.iter().any(|other| other == path) || of_another.iter().all(|other| !other.is_file());
    if !file.is_file() || !is_own {
        return Ok(None);
    }
    let text = files::read_text(&file, files::SETTINGS_LIMIT);
    let text = text.map_err(|error| format!("adapter_config.json: {error}"))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(document)) => Ok(Some(("adapter_config.json".to_owned(), document))),
        Ok(_) => Err("adapter_config.json: no object".into()),
        Err(error) => Err(format!("adapter_config.json: {error}")),
    }
}

/// Whether `name` equals `end`, or ends with it after a dot; both may be flat.
fn ends(name: &str, end: &str) -> bool {
    let after = |name: &str, end: &str, dot: char| {
        name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with(dot))
    };
    after(name, end, '.') || !name.contains('.') && after(name, &end.replace('.', "_"), '_')
}
