//! Reading plans of any format, and writing them.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::core::{CachePlan, PlanError, Topology};
use crate::encoding;
use crate::files;
use crate::formats::binary::is_binary;
use crate::formats::books::{AuthorBook, BookName, is_book};
use crate::formats::cache_dit;
use crate::formats::envelope::FILE_LIMIT;
use crate::formats::limits;
use crate::formats::smoothcache::SmoothCache;
use crate::formats::step_mask::{MaskOnes, StepMask};

/// The content of a file that holds a plan. The format is recognised by the content, not by the name.
#[derive(Clone, Debug, PartialEq)]
pub enum PlanFile {
    /// JSON with `"format": "invardiff-plan"`.
    Json(CachePlan),
    /// The compact format.
    Binary(CachePlan),
    /// A cache book of the InvarDiff authors, and its file name where that follows the authors' pattern.
    Book(AuthorBook, Option<BookName>),
    /// A SmoothCache schedule.
    SmoothCache(SmoothCache),
    /// A mask of steps, of its own or in a configuration of cache-dit; 1 = compute.
    StepMask(StepMask),
}

impl PlanFile {
    /// Reads a file of any known format.
    ///
    /// # Errors
    /// [`PlanError::Io`] when it cannot be read; otherwise as [`PlanFile::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PlanError> {
        let path = path.as_ref();
        let file = Self::parse(&limits::read(path)?, &path.display().to_string())?;
        let name = path.file_name().and_then(|name| name.to_str()).and_then(BookName::parse);
        Ok(match file {
            Self::Book(book, _) => {
                let name = name.filter(|name| name.layout() == book.layout());
                Self::Book(book, name)
            }
            Self::Json(_) | Self::Binary(_) | Self::SmoothCache(_) | Self::StepMask(_) => file,
        })
    }

    /// Reads a mask of steps in whose text a 1 means what `ones` says, which the text itself does not tell.
    ///
    /// # Errors
    /// [`PlanError::Io`] when the file cannot be read; [`PlanError::Format`] for text that is no mask, or one that skips the
    /// first step.
    pub fn read_mask(path: impl AsRef<Path>, ones: MaskOnes) -> Result<Self, PlanError> {
        let (path, what) = (path.as_ref(), path.as_ref().display().to_string());
        let text = limits::text(limits::read(path)?, &what)?;
        let mask = StepMask::parse_as(&text, &what, ones).and_then(|mask| begun(mask, ones, &what));
        mask.map(Self::StepMask).map_err(|error| error.in_file(&what))
    }

    /// Reads bytes of any known format; `what` names the file in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`], [`PlanError::Shape`] or [`PlanError::Range`], naming the file and, where there is one, the key.
    pub fn parse(bytes: &[u8], what: &str) -> Result<Self, PlanError> {
        if bytes.len() > FILE_LIMIT {
            return Err(wrong(what, format!("larger than {FILE_LIMIT} bytes")));
        }
        if is_binary(bytes) {
            return CachePlan::from_bytes(bytes, what).map(Self::Binary);
        }
        let text = &encoding::decode(bytes.to_vec())
            .map_err(|error| wrong(what, format!("no plan: it is not in the compact format, and {error}")))?;
        if !text.trim_start().starts_with('{') {
            return mask(text, what).map(Self::StepMask).map_err(|error| error.in_file(what));
        }
        let keys: Keys =
            serde_json::from_str(text).map_err(|error| wrong(what, format!("not a JSON object: {error}")))?;
        if keys.format.is_some() {
            return CachePlan::from_json(text, what).map(Self::Json);
        }
        let object = limits::foreign(text, what)?;
        if is_book(&object) {
            return AuthorBook::from_object(object, what).map(|book| Self::Book(book, None));
        }
        if cache_dit::KEYS.iter().any(|key| object.contains_key(*key)) {
            return StepMask::from_cache_dit(text, what).map(Self::StepMask);
        }
        if let (1, Some((_, Value::Array(entries)))) =
            (object.len(), object.iter().find(|(key, _)| MASKS.contains(&key.as_str())))
        {
            let words: Vec<String> = entries.iter().map(Value::to_string).collect();
            return StepMask::parse(&words.join(","), what).map(Self::StepMask);
        }
        if object.values().all(Value::is_array) {
            return SmoothCache::from_object(&object, what).map(Self::SmoothCache);
        }
        let detail = "no plan: the JSON has neither the key 'format' nor those of a book, and is no SmoothCache schedule";
        Err(wrong(what, detail.into()))
    }

    /// The plan in the file. SmoothCache schedules and step masks need a model, because they do not say how many layers there
    /// are. With a model, a cache book becomes a plan for the model's sites; without one, for the sites in the book.
    ///
    /// # Errors
    /// [`PlanError::Format`] when a model is needed and none is given; otherwise as `plan` of the formats.
    pub fn plan(self, topology: Option<&Topology>) -> Result<CachePlan, PlanError> {
        let needed = |what: &str| {
            topology
                .ok_or_else(|| wrong(what, "it does not say what layers there are; name the model".into()))
        };
        match self {
            Self::Json(plan) | Self::Binary(plan) => Ok(plan),
            Self::Book(book, name) => {
                let mut plan = match topology {
                    Some(topology) => book.plan(topology)?,
                    None => book.plan(&book.topology())?,
                };
                plan.provenance.notes.extend(name.iter().flat_map(BookName::notes));
                Ok(plan)
            }
            Self::SmoothCache(schedule) => schedule.plan(needed("a SmoothCache schedule")?),
            Self::StepMask(mask) => Ok(mask.plan(needed("a step mask")?)),
        }
    }
}

/// Keys of a JSON object that holds a step mask and nothing else.
const MASKS: [&str; 4] = ["mask", "step_mask", "steps_mask", "scm_mask"];

/// A text without JSON: a step mask, or a configuration of cache-dit with one.
fn mask(text: &str, what: &str) -> Result<StepMask, PlanError> {
    if cache_dit::is_config(text) {
        return StepMask::from_cache_dit(text, what);
    }
    if StepMask::begins_in(text) || matches!(text.trim(), "[]") {
        return begun(StepMask::parse(text, what)?, MaskOnes::Compute, what);
    }
    let detail =
        "no plan: neither JSON nor the compact format, a step mask (1,0,0,1) or a configuration of cache-dit";
    Err(wrong(what, detail.into()))
}

/// Refuses a mask that skips its first step, before which nothing is cached: its ones mean the opposite.
fn begun(mask: StepMask, ones: MaskOnes, what: &str) -> Result<StepMask, PlanError> {
    if !mask.gate()[0] {
        return Ok(mask);
    }
    let (read, other) = match ones {
        MaskOnes::Compute => ("compute", "cached (as in Golden Path's strings)"),
        MaskOnes::Cached => ("cached", "compute (as in cache-dit's masks)"),
    };
    let detail = format!(
        "the step mask skips step 0, before which nothing is cached: a 1 was read as {read}; if it means {other}, convert the \
         mask as such"
    );
    Err(wrong(what, detail))
}

/// What tells our JSON from that of others, without keeping the rest.
#[derive(Deserialize)]
struct Keys {
    format: Option<IgnoredAny>,
}

impl CachePlan {
    /// Reads a plan of any format that needs no model: JSON, the compact format, or a cache book of the authors.
    ///
    /// # Errors
    /// As [`PlanFile::read`] and [`PlanFile::plan`] without a model.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PlanError> {
        let what = path.as_ref().display().to_string();
        PlanFile::read(path)?.plan(None).map_err(|error| error.in_file(&what))
    }

    /// Writes the plan as JSON (`.json`) or in the compact format (`.bin`), by the file's extension. The file is never left
    /// half written: it is written under another name and then renamed.
    ///
    /// # Errors
    /// [`PlanError::Format`] for another extension, [`PlanError::Io`] when the file cannot be written; otherwise as
    /// [`CachePlan::to_json`] and [`CachePlan::to_bytes`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), PlanError> {
        let path = path.as_ref();
        let bytes = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => self.to_json()?.into_bytes(),
            Some("bin") => self.to_bytes()?,
            Some(_) | None => {
                let detail =
                    "a plan is written as .json or .bin; give the file one of these extensions".into();
                return Err(wrong(&path.display().to_string(), detail));
            }
        };
        files::write(path, &bytes).map_err(|source| PlanError::Io { path: path.into(), source })
    }
}

fn wrong(what: &str, detail: String) -> PlanError {
    PlanError::Format { what: what.into(), detail }
}
