//! A file that readers of paths are given.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder with one file that is written anew for every input.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: TempDir,
    file: PathBuf,
}

impl Scratch {
    /// A folder for a file of this name, in memory where the system has such a place.
    pub(super) fn new(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a folder can be made");
        let file = folder.path().join(name);
        Self { folder, file }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file with these bytes.
    pub(super) fn with(&self, bytes: &[u8]) -> &Path {
        std::fs::write(&self.file, bytes).expect("the file can be written");
        &self.file
    }
}
