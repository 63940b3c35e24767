//! Weights in several files, with an index of which tensor is where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::thread;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::LoadError;
use super::checkpoint::{Checkpoint, Content, Entries, hash, hex};

/// The index beside the shards, as the transformers and diffusers libraries write it.
#[derive(Deserialize)]
struct Index {
    /// The shard's file name for each tensor.
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the shards that an index names, as if they were one file.
    pub(super) fn open_shards(path: &Path) -> Result<Self, LoadError> {
        let file = path.display().to_string();
        let format = |detail| LoadError::Format { file: file.clone(), detail };
        let text =
            std::fs::read_to_string(path).map_err(|source| LoadError::Io { file: file.clone(), source })?;
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
        let shards = names.iter().map(|name| Ok((*name, Self::open(&folder.join(name))?)));
        let entries = join(&file, &index, shards.collect::<Result<_, LoadError>>()?)?;
        let content = Content::Shards(names.iter().map(|name| folder.join(name)).collect());
        Ok(Self { file, content, entries })
    }
}

/// Puts the shards together, each tensor where the index says and nowhere else.
fn join(file: &str, index: &Index, shards: Vec<(&str, Checkpoint)>) -> Result<Entries, LoadError> {
    let (mut entries, mut strays) = (Entries::new(), Vec::new());
    for (name, shard) in shards {
        for (key, entry) in shard.entries {
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

/// SHA-256 of the lines `<SHA-256 of the shard>  <its name>`. Several shards are hashed at once, as that takes long.
pub(super) fn hash_all(paths: &[PathBuf]) -> Result<String, LoadError> {
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let mut lines = Sha256::new();
    for paths in paths.chunks(at_once) {
        let hashes: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = paths.iter().map(|path| scope.spawn(|| hash(path))).collect();
            threads.into_iter().map(|thread| thread.join().expect("errors are returned")).collect()
        });
        for (path, hash) in paths.iter().zip(hashes) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            lines.update(format!("{}  {name}\n", hash?));
        }
    }
    Ok(hex(&lines.finalize()))
}
