//! The cache on this machine, laid out as the hub's own tools lay it out: `models--owner--name/blobs/HASH`, links to these in
//! `snapshots/COMMIT/`, the commits of branches and tags in `refs/`, and locks in `.locks/models--owner--name/`.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use invardiff_plan::files;

use super::content::{Content, is_commit};
use super::error::HubError;
use super::id::HubId;

/// After how long a content that has not arrived whole is given up.
const LEFT: Duration = Duration::from_hours(31 * 24);

/// What a cache has of one repository.
#[derive(Clone, Debug)]
pub(super) struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    /// The place of a repository in a cache; nothing is made yet.
    pub(super) fn new(cache: &Path, id: &HubId) -> Self {
        let name = format!("models--{}", id.repo().replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(&name) }
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Where a content is, or will be.
    pub(super) fn blob(&self, content: &Content) -> PathBuf {
        self.folder.join("blobs").join(content.name())
    }

    /// Removes what downloads that were given up left over a month ago: contents that have not arrived whole. What cannot be removed is
    /// left to another run.
    pub(super) fn remove_left(&self) {
        let is_left = |entry: &fs::DirEntry| {
            let part = entry.path().extension().is_some_and(|extension| extension == "part");
            let age = entry.metadata().and_then(|found| found.modified()).ok();
            part && age
                .and_then(|time| SystemTime::now().duration_since(time).ok())
                .is_some_and(|age| age > LEFT)
        };
        let entries = fs::read_dir(self.folder.join("blobs")).into_iter().flatten().flatten();
        for entry in entries.filter(is_left) {
            let _ = fs::remove_file(entry.path());
        }
    }

    /// Where a content is while it has not arrived whole.
    pub(super) fn part(&self, content: &Content) -> PathBuf {
        self.folder.join("blobs").join(format!("{}.part", content.name()))
    }

    /// The folder of a branch, tag or commit that has been fetched whole. Where nothing says which commit a branch is, the only
    /// one that is there, if `is_whole` says so of the names of its files.
    pub(super) fn find(&self, revision: &str, is_whole: impl Fn(&[&str]) -> bool) -> Option<PathBuf> {
        let noted = |file: File| {
            let mut commit = String::new();
            file.take(64).read_to_string(&mut commit).map(|_| commit)
        };
        // A commit is its own name; branches and tags are looked up.
        let commit = File::open(self.folder.join("refs").join(revision)).and_then(noted);
        let is_noted = commit.is_ok() || is_commit(revision);
        let commit = commit.as_deref().unwrap_or(revision).trim();
        let snapshot = self.snapshot(commit);
        if is_noted {
            return (is_commit(commit) && snapshot.is_dir()).then_some(snapshot);
        }
        let mut folders =
            fs::read_dir(self.folder.join("snapshots")).ok()?.flatten().map(|entry| entry.path());
        let (only, None) = (folders.next()?, folders.next()) else { return None };
        let names = names(&only, "");
        is_whole(&names.iter().map(String::as_str).collect::<Vec<_>>()).then_some(only)
    }

    /// Notes which commit a branch or tag is.
    pub(super) fn note(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.folder.join("refs").join(revision);
        // A commit is its own name, and a cache that is up to date need not be writable.
        if revision == commit || files::read_text(&path, 64).is_ok_and(|noted| noted == commit) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        files::write(&path, commit.as_bytes()).map_err(io_error(&path))
    }

    /// Has a name in a commit's folder stand for a content that is there.
    pub(super) fn link(&self, commit: &str, name: &str, content: &Content) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(name);
        let folder = pointer.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(io_error(folder))?;
        remove(&pointer)?;
        match link(&self.blob(content), &pointer, name.split('/').count() + 1) {
            // Another program was quicker.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(&pointer)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The right to be the one that writes a content; `None` while another program has it.
    pub(super) fn lock(&self, content: &Content) -> Result<Option<Lock>, HubError> {
        let path = self.lock_path(content);
        fs::create_dir_all(&self.locks).map_err(io_error(&self.locks))?;
        fs::create_dir_all(self.folder.join("blobs")).map_err(io_error(&self.folder))?;
        let file = File::options().create(true).append(true).open(&path).map_err(io_error(&path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            // Some network drives have no locks; what two programs mixed up there does not pass the check of its hash.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Lock { _file: file })),
        }
    }

    /// The file that stands for the right to write a content.
    pub(super) fn lock_path(&self, content: &Content) -> PathBuf {
        self.locks.join(format!("{}.lock", content.name()))
    }
}

/// The paths of a folder's files, and of those in its folders, relative to it.
fn names(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_file() {
            found.push(name);
        } else if path.is_dir() && prefix.is_empty() {
            found.extend(names(&path, &format!("{name}/")));
        }
    }
    found.sort_unstable();
    found
}

/// The right to be the one that writes a content, until dropped or until the program ends in whatever way.
pub(super) struct Lock {
    _file: File,
}

/// Removes a file, if there is one.
pub(super) fn remove(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The error of a path.
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> HubError {
    let path = path.to_owned();
    |source| HubError::Io { path, source }
}

/// Has `pointer`, `depth` folders below the repository's, stand for a content in the cache.
#[cfg(unix)]
fn link(blob: &Path, pointer: &Path, depth: usize) -> io::Result<()> {
    let name = blob.file_name().unwrap_or_default();
    let up: PathBuf = std::iter::repeat_n("..", depth).collect();
    std::os::unix::fs::symlink(up.join("blobs").join(name), pointer)
}

#[cfg(not(unix))]
fn link(blob: &Path, pointer: &Path, _depth: usize) -> io::Result<()> {
    fs::hard_link(blob, pointer)
}
