//! Downloading what is missing, and checking it.

mod transfer;

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::listing::File;
use super::{Hub, HubError, HubId};
use crate::files::sha256;
use crate::units::bytes;
use transfer::{Broken, transfer};

/// A download of one commit.
pub(super) struct Download<'a> {
    pub(super) hub: &'a Hub,
    pub(super) api: &'a Api,
    pub(super) id: &'a HubId,
    pub(super) commit: &'a str,
}

/// Attempts that bring nothing before giving up.
const ATTEMPTS: usize = 3;

impl Download<'_> {
    /// Every file that is not in the cache yet.
    pub(super) fn all(&self, files: &[&File]) -> Result<(), HubError> {
        let mut missing = Vec::new();
        for file in files {
            if !self.is_there(file)? && !self.is_elsewhere(file)? {
                missing.push(*file);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let size: u64 = missing.iter().filter_map(|file| file.size).sum();
        let (cache, size) = (self.hub.cache.display(), bytes(size as usize));
        eprintln!("{}: downloading {} files, {size}, into {cache}", self.id, missing.len());
        missing.into_iter().try_for_each(|file| self.one(file))
    }

    fn one(&self, file: &File) -> Result<(), HubError> {
        let (mut fruitless, mut arrived) = (0, self.partly(file));
        loop {
            let detail = match transfer(self.repo(), file, self.hub.patience) {
                Ok(pointer) => return self.check(file, &pointer),
                Err(Broken::Fatal(error)) => return Err(self.named(file, error)),
                Err(Broken::Silent) => {
                    let detail = format!("no data for {} s", self.hub.patience.as_secs_f32());
                    return Err(self.interrupted(file, detail));
                }
                Err(Broken::Stale) => {
                    self.forget_part(file)?;
                    "the server does not go on with what is there".to_owned()
                }
                Err(Broken::Cut(detail)) => detail,
            };
            let now = self.partly(file);
            fruitless = if now > arrived { 0 } else { fruitless + 1 };
            arrived = now;
            if fruitless == ATTEMPTS {
                return Err(self.interrupted(file, detail));
            }
            std::thread::sleep(self.hub.pause);
        }
    }

    /// Whether the file stands in the commit's folder already. One of another length is removed.
    fn is_there(&self, file: &File) -> Result<bool, HubError> {
        let pointer = self.pointer(file);
        match fs::metadata(&pointer) {
            Ok(found) if file.size.is_none_or(|size| size == found.len()) => return Ok(true),
            Ok(_) => remove(&content(&pointer))?,
            Err(_) => {}
        }
        // Also a link that leads nowhere.
        if pointer.symlink_metadata().is_ok() {
            remove(&pointer)?;
        }
        Ok(false)
    }

    /// Whether another commit's folder has the same file; then it is linked to here as well.
    fn is_elsewhere(&self, file: &File) -> Result<bool, HubError> {
        let Some(content) = file.content() else { return Ok(false) };
        let blob = self.cached().blob_path(content);
        if !fs::metadata(&blob).is_ok_and(|found| Some(found.len()) == file.size) {
            return Ok(false);
        }
        let pointer = self.pointer(file);
        let folder = pointer.parent().unwrap_or(&self.hub.cache);
        fs::create_dir_all(folder).map_err(io(folder))?;
        link(&blob, &pointer, file.name.split('/').count() + 1).map_err(io(&pointer))?;
        Ok(true)
    }

    /// Refuses a file that is not what the hub says, and removes it.
    fn check(&self, file: &File, pointer: &Path) -> Result<(), HubError> {
        let content = content(pointer);
        let found = fs::metadata(&content).map_err(io(&content))?.len();
        let damaged = |what, found: String, expected: String| {
            remove(&content)?;
            remove(pointer)?;
            let (repo, file) = (self.id.to_string(), file.name.clone());
            Err(HubError::Damaged { repo, file, what, found, expected })
        };
        if let Some(expected) = file.size.filter(|expected| *expected != found) {
            return damaged("its length", found.to_string(), expected.to_string());
        }
        // In the cache a large file is named by its SHA-256, should the listing not have it.
        let name = content.file_name().and_then(|name| name.to_str()).filter(|name| name.len() == 64);
        let Some(expected) = file.sha256().or(name) else { return Ok(()) };
        let found = sha256(&content).map_err(io(&content))?;
        if found == expected { Ok(()) } else { damaged("its SHA-256", found, expected.to_owned()) }
    }

    /// How much of a file there is.
    fn partly(&self, file: &File) -> u64 {
        let part = file.content().map(|content| part(&self.cached().blob_path(content)));
        part.and_then(|part| fs::metadata(part).ok()).map_or(0, |found| found.len())
    }

    /// Removes a part that nothing can be added to.
    fn forget_part(&self, file: &File) -> Result<(), HubError> {
        let known = file.content().map(str::to_owned);
        let asked =
            || self.api.metadata(&self.repo().url(&file.name)).ok().map(|found| found.etag().to_owned());
        let Some(content) = known.or_else(asked) else {
            return Err(self.interrupted(file, "the part that has arrived cannot be continued".into()));
        };
        remove(&part(&self.cached().blob_path(&content)))
    }

    fn repo(&self) -> ApiRepo {
        self.api.repo(self.at_commit())
    }

    fn cached(&self) -> CacheRepo {
        Cache::new(self.hub.cache.clone()).repo(self.at_commit())
    }

    fn at_commit(&self) -> Repo {
        Repo::with_revision(self.id.repo().to_owned(), RepoType::Model, self.commit.to_owned())
    }

    fn pointer(&self, file: &File) -> PathBuf {
        self.cached().pointer_path(self.commit).join(&file.name)
    }

    fn interrupted(&self, file: &File, detail: String) -> HubError {
        HubError::Interrupted { repo: self.id.to_string(), file: file.name.clone(), detail }
    }

    /// An error of the client, with what it was about.
    fn named(&self, file: &File, error: transfer::Fatal) -> HubError {
        let (repo, name) = (self.id.to_string(), file.name.clone());
        match error {
            transfer::Fatal::Status(status @ (401 | 403)) => self.hub.denied(self.id, &name, status),
            transfer::Fatal::Status(status @ 404) => {
                let advice = "the hub lists it, but does not have it; try another revision".to_owned();
                HubError::NotFound { repo, file: name, status, advice }
            }
            transfer::Fatal::Status(status) => {
                HubError::Answer { repo, file: name, detail: format!("HTTP {status}") }
            }
            transfer::Fatal::Answer(detail) => HubError::Answer { repo, file: name, detail },
            transfer::Fatal::Locked(lock) => HubError::Busy { repo, file: name, lock },
            transfer::Fatal::Io(source) => HubError::Io { path: self.hub.cache.clone(), source },
        }
    }
}

/// The file that a pointer stands for.
fn content(pointer: &Path) -> PathBuf {
    fs::canonicalize(pointer).unwrap_or_else(|_| pointer.to_owned())
}

/// Where the client keeps a file that has not arrived whole.
fn part(blob: &Path) -> PathBuf {
    blob.with_extension("part")
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> HubError {
    let path = path.to_owned();
    |source| HubError::Io { path, source }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Has `pointer`, `depth` folders below the repository's, stand for a content in the cache.
#[cfg(unix)]
fn link(blob: &Path, pointer: &Path, depth: usize) -> std::io::Result<()> {
    let name = blob.file_name().unwrap_or_default();
    let up: PathBuf = std::iter::repeat_n("..", depth).collect();
    std::os::unix::fs::symlink(up.join("blobs").join(name), pointer)
}

#[cfg(not(unix))]
fn link(blob: &Path, pointer: &Path, _depth: usize) -> std::io::Result<()> {
    fs::hard_link(blob, pointer)
}
