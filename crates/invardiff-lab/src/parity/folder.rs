//! A fixture's folder: its manifest, and where its files are.

use std::path::{Path, PathBuf};

use invardiff_plan::files;
use serde_json::Value;

use super::arrays::Arrays;
use super::check::{Checks, Deviation};
use super::compare::differing;
use crate::error::{Context, Error, Result, bail, ensure, unfit};

/// The file that makes a folder a fixture.
pub(crate) const MANIFEST: &str = "manifest.json";

/// A folder with its manifest read.
pub(crate) struct Folder {
    /// The folder.
    pub(crate) path: PathBuf,
    manifest: Value,
}

/// A value of the manifest and where it stands, for messages.
#[derive(Clone)]
pub(crate) struct Entry<'a> {
    value: &'a Value,
    place: String,
}

impl Folder {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// When it cannot be read or is not a JSON object.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let text = files::read_text(&path.join(MANIFEST), files::SETTINGS_LIMIT).context(MANIFEST)?;
        let manifest: Value = serde_json::from_str(&text).context(MANIFEST)?;
        ensure!(manifest.is_object(), "{MANIFEST} is no JSON object");
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// The whole manifest.
    pub(crate) fn manifest(&self) -> Entry<'_> {
        Entry { value: &self.manifest, place: MANIFEST.into() }
    }

    /// Whether the folder has this file.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.path.join(file).is_file()
    }

    /// Opens one of the folder's files of arrays.
    ///
    /// # Errors
    /// As [`Arrays::open`].
    pub(crate) fn arrays(&self, file: &str) -> Result<Arrays> {
        Arrays::open(&self.path.join(file))
    }

    /// The names of the folder's files with this suffix, sorted.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub(crate) fn files(&self, extension: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.is_file() && path.extension().is_some_and(|found| found == extension) {
                names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Checks the files against the manifest's list: every listed array must exist with its shape. A manifest
    /// without a list passes.
    pub(crate) fn check_files(&self, checks: &mut Checks) {
        if let Some(files) = self.manifest().find("files") {
            checks.run("arrays as the manifest lists them", || self.compare_files(&files));
        }
    }

    fn compare_files(&self, files: &Entry<'_>) -> Result<Deviation> {
        let mut wrong = Vec::new();
        for (name, tensors) in files.members()? {
            let arrays = self.listed(name)?;
            for (key, listed) in tensors.members()? {
                let expected = listed.at(0)?.sizes()?;
                match arrays.shape(key) {
                    Err(_) => wrong.push(format!("{}: '{key}' is missing", arrays.file)),
                    Ok(found) if found != expected => wrong
                        .push(format!("{}: '{key}' has shape {found:?}, expected {expected:?}", arrays.file)),
                    Ok(_) => {}
                }
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(differing(0))
    }

    /// A file as the list names it: by its name, by its name without the ending, or as the only file of arrays.
    fn listed(&self, name: &str) -> Result<Arrays> {
        let with_ending = format!("{name}.safetensors");
        let found = [name, &with_ending].into_iter().find(|name| self.has(name));
        match (found, self.files("safetensors")?.as_slice()) {
            (Some(name), _) => self.arrays(name),
            (None, [only]) if !name.contains('.') => self.arrays(only),
            (None, _) => bail!("{name} is listed in {MANIFEST}, but the folder does not have it"),
        }
    }
}

impl<'a> Entry<'a> {
    /// A member of an object.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn get(&self, key: &str) -> Result<Entry<'a>> {
        let place = self.member(key);
        match self.value.get(key) {
            Some(value) if !value.is_null() => Ok(Entry { value, place }),
            Some(_) | None => bail!("{place} is missing"),
        }
    }

    /// A member of an object that may be absent or null.
    pub(crate) fn find(&self, key: &str) -> Option<Entry<'a>> {
        self.get(key).ok()
    }

    /// An item of a list.
    ///
    /// # Errors
    /// When it is not a list, or a shorter one.
    pub(crate) fn at(&self, index: usize) -> Result<Entry<'a>> {
        let items = self.items()?;
        let count = items.len();
        items.into_iter().nth(index).ok_or_else(|| unfit!("{} has {count} items", self.place))
    }

    /// The items of a list.
    ///
    /// # Errors
    /// When the value has another type.
    pub(crate) fn items(&self) -> Result<Vec<Entry<'a>>> {
        let items = self.value.as_array().ok_or_else(|| self.no("a list"))?;
        let entry = |(index, value)| Entry { value, place: format!("{}[{index}]", self.place) };
        Ok(items.iter().enumerate().map(entry).collect())
    }

    /// The members of an object.
    ///
    /// # Errors
    /// When the value has another type.
    pub(crate) fn members(&self) -> Result<Vec<(&'a str, Entry<'a>)>> {
        let members = self.value.as_object().ok_or_else(|| self.no("an object"))?;
        let entry =
            |(key, value): (&'a String, &'a Value)| (key.as_str(), Entry { value, place: self.member(key) });
        Ok(members.iter().map(entry).collect())
    }

    /// A number.
    ///
    /// # Errors
    /// When the value has another type.
    pub(crate) fn number(&self) -> Result<f64> {
        self.value.as_f64().ok_or_else(|| self.no("a number"))
    }

    /// A non-negative integer.
    ///
    /// # Errors
    /// When the value has another type.
    pub(crate) fn count(&self) -> Result<usize> {
        self.value.as_u64().map(|value| value as usize).ok_or_else(|| self.no("a whole number from 0 on"))
    }

    /// A text.
    ///
    /// # Errors
    /// When the value has another type.
    pub(crate) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.no("a text"))
    }

    /// Any value as it stands in the file, a text without its quotes.
    pub(crate) fn as_text(&self) -> String {
        self.value.as_str().map_or_else(|| self.value.to_string(), str::to_owned)
    }

    /// Whether it is this boolean.
    pub(crate) fn is(&self, value: bool) -> bool {
        self.value.as_bool() == Some(value)
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// When the value has another type.
    pub(crate) fn numbers(&self) -> Result<Vec<f64>> {
        self.items()?.iter().map(Entry::number).collect()
    }

    /// A list of non-negative integers.
    ///
    /// # Errors
    /// When the value has another type.
    pub(crate) fn sizes(&self) -> Result<Vec<usize>> {
        self.items()?.iter().map(Entry::count).collect()
    }

    fn member(&self, key: &str) -> String {
        let separator = if self.place == MANIFEST { ": " } else { "." };
        format!("{}{separator}{key}", self.place)
    }

    fn no(&self, expected: &str) -> Error {
        unfit!("{} is {}, expected {expected}", self.place, self.value)
    }
}
