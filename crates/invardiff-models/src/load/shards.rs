//! Weights in several files, with an index that maps tensors to files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use invardiff_plan::files;
use serde::Deserialize;

use super::entries::{self, Entries};
use super::error::LoadError;

/// The most bytes of an index that is read: a hundred times that of FLUX.1.
const LARGEST_INDEX: usize = 8 << 20;

/// The index beside the shards, as the transformers and diffusers libraries write it.
#[derive(Deserialize)]
struct Index {
    /// The shard's file name for each tensor.
    weight_map: BTreeMap<String, String>,
}

/// The tensors of all shards that an index names, and the shards in the order of their names.
pub(super) fn open(path: &Path) -> Result<(Entries, Vec<PathBuf>), LoadError> {
    let file = path.display().to_string();
    let format = |detail| LoadError::Format { file: file.clone(), detail };
    let text = files::read_text(path, LARGEST_INDEX)
        .map_err(|source| LoadError::Io { file: file.clone(), source })?;
    let index: Index =
        serde_json::from_str(&text).map_err(|error| format(format!("no index of shards: {error}")))?;
    let names: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    let folder = path.parent().unwrap_or(Path::new(""));
    for name in &names {
        let mut components = Path::new(name).components();
        if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
            return Err(format(format!("'{name}' is no file name of a shard beside the index")));
        }
        if !folder.join(name).is_file() {
            let tensors = index.weight_map.values().filter(|shard| shard == name).count();
            let path = folder.join(name).display().to_string();
            let detail = format!("the shard is missing; {file} expects {tensors} tensors in it");
            return Err(LoadError::NotFound { path, detail });
        }
    }
    let shards = names.iter().map(|name| Ok((*name, entries::open(&folder.join(name))?)));
    let entries = join(&file, &index, shards.collect::<Result<_, LoadError>>()?)?;
    Ok((entries, names.iter().map(|name| folder.join(name)).collect()))
}

/// Joins the shards. Every tensor must be where the index says and nowhere else.
fn join(file: &str, index: &Index, shards: Vec<(&str, Entries)>) -> Result<Entries, LoadError> {
    let (mut entries, mut strays) = (Entries::new(), Vec::new());
    for (name, shard) in shards {
        for (key, entry) in shard {
            match index.weight_map.get(&key) {
                Some(place) if place == name => {
                    entries.insert(key, entry);
                }
                Some(place) => strays.push(format!("'{key}' is in {name}, the index has it in {place}")),
                None => strays.push(format!("'{key}' is in {name}, the index does not know it")),
            }
        }
    }
    let absent = index.weight_map.iter().filter(|(key, _)| !entries.contains_key(*key));
    strays.extend(absent.map(|(key, name)| format!("'{key}' is not in {name}, where the index has it")));
    if strays.is_empty() {
        return Ok(entries);
    }
    let detail = format!("index and shards do not agree\n  {}", strays.join("\n  "));
    Err(LoadError::Format { file: file.to_owned(), detail })
}
