//! The names of files that hold weights: one table for all models.
//!
//! A name is a stem (`model`), perhaps a variant (`fp16`), perhaps the numbers of a shard, and an ending. It may be in the folder
//! itself or in the folder that a whole pipeline has for the part.

use std::path::{Path, PathBuf};

use super::error::LoadError;
use super::shards;

/// Where the weights of a part are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The folder of the part in that of a pipeline.
    pub(super) folder: &'static str,
    /// The stems of file names, in order of preference.
    pub(super) stems: &'static [&'static str],
    /// Prefixes of other parts' file names, which are ignored.
    pub(super) others: &'static [&'static str],
}

/// File extensions that are read, in order of preference.
const ENDINGS: [&str; 6] = ["safetensors", "bin", "pt", "pth", "ckpt", "gguf"];

/// Variants in order of preference, after the name without a variant.
const VARIANTS: [&str; 8] = ["bf16", "fp16", "fp32", "f16", "f32", "non_ema", "ema", "fp8"];

/// How many names of a folder an error lists.
const SHOWN: usize = 8;

impl Places {
    /// The weights' file at a path: itself, or that in a folder.
    pub(super) fn at(&self, path: &Path) -> Result<PathBuf, LoadError> {
        if path.is_dir() {
            return self.find(path);
        }
        if path.is_file() {
            return Ok(path.to_owned());
        }
        let detail = "there is no such file or folder".into();
        Err(LoadError::NotFound { path: path.display().to_string(), detail })
    }

    /// The weights' file in a folder: an index of shards, a file, or the first of several shards.
    fn find(&self, folder: &Path) -> Result<PathBuf, LoadError> {
        let (here, below) = (names(folder), names(&folder.join(self.folder)));
        let chosen = self.pick(&here, &below).map_err(|detail| LoadError::NotFound {
            path: folder.display().to_string(),
            detail: detail.to_string(),
        })?;
        Ok(folder.join(chosen))
    }

    /// [`Places::find`] on the names in the folder, and on those in the part's folder in it.
    pub(super) fn pick(&self, here: &[String], below: &[String]) -> Result<String, NoWeights> {
        let ranked = |names: &[String], place: usize| -> Vec<(Rank, String)> {
            names.iter().filter_map(|name| Some((self.rank(name, place)?, name.clone()))).collect()
        };
        let mut found = ranked(here, 0);
        let inside =
            ranked(below, 1).into_iter().map(|(rank, name)| (rank, format!("{}/{name}", self.folder)));
        found.extend(inside);
        if let Some((_, name)) = found.into_iter().min() {
            return Ok(name);
        }
        let free = |names: &[String], prefix: &str| -> Vec<String> {
            names.iter().filter(|name| self.is_free(name)).map(|name| format!("{prefix}{name}")).collect()
        };
        let mut free_names = free(here, "");
        free_names.extend(free(below, &format!("{}/", self.folder)));
        match free_names.len() {
            0 => Err(NoWeights::Nothing(self.nothing(here))),
            1 => Ok(free_names.swap_remove(0)),
            _ => Err(NoWeights::Several(free_names)),
        }
    }

    /// The preference of a name, smaller first; `None` for one that is not in the table.
    fn rank(&self, name: &str, place: usize) -> Option<Rank> {
        let is_index = shards::is_index(Path::new(name));
        let (stem, ending, variant) = if is_index {
            let (stem, rest) = name.split_once(".index.")?;
            let variant = rest.strip_suffix("json")?.trim_end_matches('.');
            let (stem, ending) = stem.rsplit_once('.')?;
            (stem, ending, variant)
        } else if let Some((stem, behind, number, _)) = shards::parts(name) {
            // The first shard stands for all.
            if number != 1 {
                return None;
            }
            (stem, behind.rsplit_once('.')?.1, "")
        } else {
            let (stem, ending) = name.rsplit_once('.')?;
            (stem, ending, "")
        };
        let ending = ENDINGS.iter().position(|known| known.eq_ignore_ascii_case(ending))?;
        let at = self.stems.iter().position(|known| {
            stem.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })?;
        let own = stem[self.stems[at].len()..].trim_start_matches('.');
        let variant = if own.is_empty() { variant } else { own };
        let variant = match variant {
            "" => 0,
            variant => 1 + VARIANTS.iter().position(|known| *known == variant)?,
        };
        let form = if is_index { 0 } else { usize::from(shards::parts(name).is_some()) + 1 };
        Some([ending, variant, place, at, form])
    }

    /// Whether a name looks like weights but is neither in the table nor another part's.
    fn is_free(&self, name: &str) -> bool {
        let is_first = shards::parts(name).is_none_or(|(_, _, number, _)| number == 1);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        is_first
            && ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
            && !self.others.iter().any(|other| name.starts_with(other))
    }

    fn nothing(&self, here: &[String]) -> String {
        let stems: Vec<String> = self.stems.iter().map(|stem| format!("{stem}.safetensors")).collect();
        let mut there: Vec<&str> = here.iter().take(SHOWN).map(String::as_str).collect();
        if here.len() > SHOWN {
            there.push("..");
        }
        let there = if there.is_empty() { "no file".to_owned() } else { there.join(", ") };
        format!(
            "the folder has none of {} (nor with .bin, .pt, .gguf, a variant such as .fp16, in shards or in {}/); it has {there}",
            stems.join(", "),
            self.folder
        )
    }
}

/// Why the names in a folder tell no weights to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoWeights {
    /// None of the names is one of weights that are read; the text says what was looked for and what is there.
    #[error("{0}")]
    Nothing(String),
    /// Several files could be meant.
    #[error("there are several files of weights, name one: {}", shortened(.0))]
    Several(Vec<String>),
    /// A shard is not there.
    #[error("shard {number} of {count} of {name} is missing")]
    Shard {
        /// The index, or the first shard.
        name: String,
        /// The number of the missing shard.
        number: usize,
        /// How many there are.
        count: usize,
    },
}

/// The first names of a list, and how many more there are.
fn shortened(names: &[String]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// Extension, variant, place, stem, form; smaller values are preferred.
type Rank = [usize; 5];

/// The names of a folder's files, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
