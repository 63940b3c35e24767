//! Reading cache books.

use ndarray::Array2;
use serde_json::{Map, Value};

use crate::core::{InvalidKind, Kind, PlanError};
use crate::formats::books::book::{AuthorBook, BookLayout, BookVersion, DOTTED};
use crate::formats::books::order::IP_ATTN;
use crate::formats::limits;

/// Top-level keys that only cache books have.
const MARKS: [&str; 8] = [
    "step_cache_book",
    "step_cache_bool",
    "msa_cache_book",
    "mlp_cache_book",
    "transformer_cache_book",
    "single_transformer_cache_book",
    "module_cache_book",
    "layer_cache_book",
];

/// Whether a JSON object looks like a cache book.
pub(crate) fn is_book(object: &Map<String, Value>) -> bool {
    object.contains_key("cache_version") || MARKS.iter().any(|key| object.contains_key(*key))
}

impl AuthorBook {
    /// Reads a book of any layout and version; `what` names the file in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`] for text that is not a JSON object, a missing, unknown or repeated key, an unknown version, or an
    /// entry that is not `true` or `false`; [`PlanError::Shape`] for rows of unequal length. All name file and key.
    pub fn from_json(text: &str, what: &str) -> Result<Self, PlanError> {
        Self::from_object(limits::foreign(text, what)?, what)
    }

    pub(crate) fn from_object(object: Map<String, Value>, what: &str) -> Result<Self, PlanError> {
        let mut reader = Reader { what, object };
        let version = reader.version()?;
        let layout = reader.layout()?;
        let gate = reader.gate(layout, version)?;
        let streams = match layout {
            BookLayout::Dit => reader.dit()?,
            BookLayout::Flux => reader.flux()?,
            BookLayout::Wan => reader.open("module_cache_book", Kind::parse)?,
            BookLayout::Hybrid => reader.open("layer_cache_book", |key| {
                let alias = DOTTED.iter().find(|(dotted, _)| *dotted == key);
                alias.map_or_else(|| Kind::parse(key), |(_, kind)| Ok(*kind))
            })?,
        };
        let metadata = reader.metadata(version, gate.len())?;
        limits::steps(gate.len()).map_err(|error| error.in_file(what))?;
        limits::kinds(streams.iter().map(|(kind, _)| *kind)).map_err(|error| error.in_file(what))?;
        Self::new(layout, version, gate, streams, metadata).map_err(|error| error.in_file(what))
    }
}

fn wrong(what: &str, detail: &str) -> PlanError {
    PlanError::Format { what: what.into(), detail: detail.into() }
}

struct Reader<'a> {
    what: &'a str,
    object: Map<String, Value>,
}

impl Reader<'_> {
    fn version(&mut self) -> Result<BookVersion, PlanError> {
        match self.object.remove("cache_version") {
            None => Ok(BookVersion::V1),
            Some(version) if version == 2 => Ok(BookVersion::V2),
            Some(version) => {
                let detail =
                    format!("cache_version {version} is unknown; known are 2, and 1 by the key's absence");
                Err(wrong(self.what, &detail))
            }
        }
    }

    fn layout(&self) -> Result<BookLayout, PlanError> {
        let has = |keys: &[&str]| keys.iter().any(|key| self.object.contains_key(*key));
        let found: Vec<BookLayout> = [
            (BookLayout::Dit, has(&["msa_cache_book", "mlp_cache_book"])),
            (BookLayout::Flux, has(&["transformer_cache_book", "single_transformer_cache_book"])),
            (BookLayout::Wan, has(&["module_cache_book"])),
            (BookLayout::Hybrid, has(&["layer_cache_book"])),
        ]
        .into_iter()
        .filter_map(|(layout, found)| found.then_some(layout))
        .collect();
        match found[..] {
            [layout] => Ok(layout),
            [] => Err(wrong(
                self.what,
                "missing key: no book of modules (msa_cache_book and mlp_cache_book, \
                transformer_cache_book, module_cache_book or layer_cache_book)",
            )),
            [first, second, ..] => {
                let names = format!("keys of two layouts, {} and {}", first.name(), second.name());
                Err(wrong(self.what, &names))
            }
        }
    }

    fn gate(&mut self, layout: BookLayout, version: BookVersion) -> Result<Vec<bool>, PlanError> {
        let what = self.what;
        let (key, value) = match layout {
            BookLayout::Dit | BookLayout::Flux => ("step_cache_book", self.object.remove("step_cache_book")),
            BookLayout::Wan => {
                let both = (self.object.remove("step_cache_bool"), self.object.remove("step_cache_book"));
                match both {
                    (Some(_), Some(_)) => {
                        return Err(wrong(
                            what,
                            "both keys 'step_cache_bool' and 'step_cache_book' are there",
                        ));
                    }
                    (Some(value), None) | (None, Some(value)) => (layout.gate_key(version), Some(value)),
                    (None, None) => (layout.gate_key(version), None),
                }
            }
            BookLayout::Hybrid => {
                let artifacts = self.object.get_mut("step_policy_artifacts").and_then(Value::as_object_mut);
                let value = artifacts.and_then(|artifacts| artifacts.remove("step_cache_book"));
                ("step_policy_artifacts.step_cache_book", value)
            }
        };
        let value = value.ok_or_else(|| match layout {
            BookLayout::Dit | BookLayout::Flux | BookLayout::Wan => {
                wrong(what, &format!("missing key '{key}'"))
            }
            BookLayout::Hybrid => wrong(
                what,
                &format!(
                    "missing key '{key}': its step policy decides while sampling, so the file is no plan"
                ),
            ),
        })?;
        row(what, key, &value)
    }

    fn dit(&mut self) -> Result<Vec<(Kind, Array2<bool>)>, PlanError> {
        let keys = [(Kind::MSA, "msa_cache_book"), (Kind::MLP, "mlp_cache_book")];
        keys.into_iter().map(|(kind, key)| Ok((kind, table(self.what, key, &self.take(key)?)?))).collect()
    }

    fn flux(&mut self) -> Result<Vec<(Kind, Array2<bool>)>, PlanError> {
        let double = [Kind::ATTN, Kind::CONTEXT_ATTN, Kind::FF, Kind::CONTEXT_FF, IP_ATTN];
        let single = [Kind::SINGLE_ATTN, Kind::SINGLE_MLP];
        let mut streams = Vec::new();
        for (section, kinds) in
            [("transformer_cache_book", &double[..]), ("single_transformer_cache_book", &single)]
        {
            let mut object = self.take_section(section)?;
            for kind in kinds {
                let (_, key) = BookLayout::Flux.keys(*kind);
                let path = format!("{section}.{key}");
                match object.remove(&key) {
                    Some(value) => streams.push((*kind, table(self.what, &path, &value)?)),
                    None if *kind == IP_ATTN => {}
                    None => return Err(wrong(self.what, &format!("missing key '{path}'"))),
                }
            }
            if let Some(key) = object.keys().next() {
                return Err(wrong(self.what, &format!("unknown key '{section}.{key}'")));
            }
        }
        Ok(streams)
    }

    fn open(
        &mut self,
        section: &str,
        kind: impl Fn(&str) -> Result<Kind, InvalidKind>,
    ) -> Result<Vec<(Kind, Array2<bool>)>, PlanError> {
        let read = |(key, value): (String, Value)| {
            let path = format!("{section}.{key}");
            let kind = kind(&key).map_err(|error| wrong(self.what, &format!("key '{path}': {error}")))?;
            Ok((kind, table(self.what, &path, &value)?))
        };
        match self.object.remove(section) {
            Some(Value::Object(object)) => object.into_iter().map(read).collect(),
            Some(_) => Err(wrong(self.what, &format!("key '{section}' is not an object"))),
            None => Err(wrong(self.what, &format!("missing key '{section}'"))),
        }
    }

    /// The remaining keys: metadata in version 2, an error in version 1.
    fn metadata(self, version: BookVersion, steps: usize) -> Result<Map<String, Value>, PlanError> {
        match version {
            BookVersion::V1 => match self.object.keys().next() {
                None => Ok(Map::new()),
                Some(key) => {
                    Err(wrong(self.what, &format!("unknown key '{key}' (a book without cache_version)")))
                }
            },
            BookVersion::V2 => match self.object.get("config").and_then(|config| config.get("steps")) {
                Some(said) if *said != steps => {
                    let detail = format!("config.steps is {said}, but the step gate has {steps} entries");
                    Err(wrong(self.what, &detail))
                }
                Some(_) | None => Ok(self.object),
            },
        }
    }

    fn take(&mut self, key: &str) -> Result<Value, PlanError> {
        self.object.remove(key).ok_or_else(|| wrong(self.what, &format!("missing key '{key}'")))
    }

    fn take_section(&mut self, key: &str) -> Result<Map<String, Value>, PlanError> {
        match self.take(key)? {
            Value::Object(object) => Ok(object),
            _ => Err(wrong(self.what, &format!("key '{key}' is not an object"))),
        }
    }
}

/// Reads an array of booleans.
fn row(what: &str, key: &str, value: &Value) -> Result<Vec<bool>, PlanError> {
    let entries = value.as_array().ok_or_else(|| wrong(what, &format!("key '{key}' is not an array")))?;
    let read = |(index, entry): (usize, &Value)| {
        entry.as_bool().ok_or_else(|| wrong(what, &format!("{key}[{index}] is not true or false")))
    };
    entries.iter().enumerate().map(read).collect()
}

/// Reads an array of rows of equal length.
fn table(what: &str, key: &str, value: &Value) -> Result<Array2<bool>, PlanError> {
    let rows = value.as_array().ok_or_else(|| wrong(what, &format!("key '{key}' is not an array")))?;
    let mut entries = Vec::new();
    let mut width = None;
    for (step, value) in rows.iter().enumerate() {
        let row = row(what, &format!("{key}[{step}]"), value)?;
        let width = *width.get_or_insert(row.len());
        if row.len() != width {
            let what = format!("{what}: {key}[{step}]");
            return Err(PlanError::Shape { what, expected: vec![width], found: vec![row.len()] });
        }
        entries.extend(row);
    }
    let shape = (rows.len(), width.unwrap_or(0));
    Array2::from_shape_vec(shape, entries).map_err(|error| wrong(what, &format!("key '{key}': {error}")))
}
