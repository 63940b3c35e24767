//! Reading plans of any format, and writing them.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::core::{CachePlan, PlanError, Topology};
use crate::files;
use crate::formats::binary::is_binary;
use crate::formats::books::{AuthorBook, BookName, is_book};
use crate::formats::envelope::FILE_LIMIT;
use crate::formats::limits;
use crate::formats::smoothcache::SmoothCache;
use crate::formats::step_mask::StepMask;

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
    /// A mask of steps.
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
        let text = std::str::from_utf8(bytes).map_err(|error| {
            wrong(what, format!("no plan: neither text nor the compact format ({error})"))
        })?;
        if !text.trim_start().starts_with('{') {
            let mask =
                !text.trim().is_empty() && text.chars().all(|c| "01,[]".contains(c) || c.is_whitespace());
            let parsed = mask.then(|| StepMask::parse(text, what).map(Self::StepMask));
            let detail = "no plan: neither JSON nor the compact format nor a step mask (1,0,0,1)";
            return parsed
                .unwrap_or_else(|| Err(wrong(what, detail.into())))
                .map_err(|error| error.in_file(what));
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
