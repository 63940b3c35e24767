//! Weights in several files, with or without an index that maps tensors to files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use invardiff_plan::files;
use serde::Deserialize;

use super::error::LoadError;
use super::file::{self, Entries};

/// The most bytes of an index that is read: a hundred times that of FLUX.1.
const LARGEST_INDEX: usize = 8 << 20;

/// The index beside the shards, as the transformers and diffusers libraries write it.
#[derive(Deserialize)]
struct Index {
    /// The shard's file name for each tensor.
    weight_map: BTreeMap<String, String>,
}

/// Whether a path is that of an index: `model.safetensors.index.json`, perhaps with a variant before `json`.
pub(super) fn is_index(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".json") && name.contains(".index.")
}

/// What stands before and after the numbers in the names of an index's shards, as the libraries name them.
pub(super) fn of_index(name: &str) -> Option<(String, String)> {
    let (weights, rest) = name.split_once(".index.")?;
    let variant = rest.strip_suffix("json")?.trim_end_matches('.');
    let (stem, ending) = weights.rsplit_once('.')?;
    let stem = if variant.is_empty() { stem.to_owned() } else { format!("{stem}.{variant}") };
    Some((stem, format!(".{ending}")))
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
    let shards = names.iter().map(|name| Ok((*name, file::open(&folder.join(name))?.0)));
    let entries = agree(&file, &index, shards.collect::<Result<_, LoadError>>()?)?;
    Ok((entries, names.iter().map(|name| folder.join(name)).collect()))
}

/// Two names of the same table; an index may list one that the shards lack.
const TIED: [[&str; 2]; 2] =
    [["shared.weight", "encoder.embed_tokens.weight"], ["shared.weight", "decoder.embed_tokens.weight"]];

/// Joins the shards. Every tensor must be where the index says and nowhere else.
fn agree(file: &str, index: &Index, shards: Vec<(&str, Entries)>) -> Result<Entries, LoadError> {
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
    let is_tied = |key: &str| {
        TIED.iter().any(|pair| pair.contains(&key) && pair.iter().any(|other| entries.contains_key(*other)))
    };
    let absent = index.weight_map.iter().filter(|(key, _)| !entries.contains_key(*key) && !is_tied(key));
    strays.extend(absent.map(|(key, name)| format!("'{key}' is not in {name}, where the index has it")));
    if strays.is_empty() {
        return Ok(entries);
    }
    let detail = format!("index and shards do not agree\n  {}", strays.join("\n  "));
    Err(LoadError::Format { file: file.to_owned(), detail })
}

/// A shard's name: the text before and after the numbers, its number, and the number of shards.
pub(super) fn parts(name: &str) -> Option<(&str, &str, usize, usize)> {
    let of = name.find("-of-")?;
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (before, after) = (&name[..of], &name[of + 4..]);
    let start = before.rfind('-')?;
    let (number, end) = (before[start + 1..].parse().ok()?, digits(after));
    Some((&name[..start], &after[end..], number, after[..end].parse().ok()?))
}

/// All shards of the model that a file is a shard of; `None` for a file that is none.
pub(super) fn beside(path: &Path) -> Result<Option<Vec<PathBuf>>, LoadError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((before, behind, _, count)) = parts(&name) else { return Ok(None) };
    let digits = name[before.len() + 1..].bytes().take_while(u8::is_ascii_digit).count();
    let numbered = |number: usize| format!("{before}-{number:0digits$}-of-{count:0digits$}{behind}");
    let shards: Vec<PathBuf> = (1..=count).map(|number| path.with_file_name(numbered(number))).collect();
    match shards.iter().find(|shard| !shard.is_file()) {
        None => Ok(Some(shards)),
        Some(missing) => Err(LoadError::NotFound {
            path: missing.display().to_string(),
            detail: format!("the shard is missing, one of {count}"),
        }),
    }
}

/// The tensors of shards without an index.
pub(super) fn join(shards: &[PathBuf]) -> Result<Entries, LoadError> {
    let mut entries = Entries::new();
    for shard in shards {
        for (key, entry) in file::open(shard)?.0 {
            if entries.insert(key.clone(), entry).is_some() {
                let file = shard.display().to_string();
                return Err(LoadError::Format {
                    file,
                    detail: format!("'{key}' is in an earlier shard too"),
                });
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_s_name_is_taken_apart() {
        let found = parts("model-00002-of-00003.safetensors");
        assert_eq!(found, Some(("model", ".safetensors", 2, 3)));
        let found = parts("diffusion_pytorch_model.fp16-00001-of-00002.bin");
        assert_eq!(found, Some(("diffusion_pytorch_model.fp16", ".bin", 1, 2)));
        for name in ["model.safetensors", "best-of-five.pt", "a-of-b.bin"] {
            assert_eq!(parts(name), None, "{name}");
        }
    }
}
