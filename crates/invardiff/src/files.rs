//! Files that are there whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};

/// Writes `bytes` beside `path` and renames, so that no one ever sees half a file.
///
/// # Errors
/// When the folder does not exist or cannot be written to; names `path`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = beside(path)?;
    beside.write_all(bytes).map_err(unwritable(path))?;
    beside.persist(path).map_err(|error| unwritable(path)(error.error))?;
    Ok(())
}

/// Refuses a place where [`write()`] could not write, before the work whose result goes there; leaves nothing behind.
///
/// # Errors
/// As [`write()`].
pub fn check_writable(path: &Path) -> Result<()> {
    beside(path).map(drop)
}

/// An unnamed place in the folder of `path`; removed when dropped.
fn beside(path: &Path) -> Result<NamedTempFile> {
    let refuse = |problem: String| Err(Error::Write { path: path.to_owned(), problem });
    if path.is_dir() {
        return refuse("it is a folder".to_owned());
    }
    if path.file_name().is_none() {
        return refuse("it names no file".to_owned());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return refuse(format!("there is no folder {}", folder.display()));
    }
    let mut builder = Builder::new();
    builder.prefix(".invardiff-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any new file gets: the process's mask takes its bits off.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(unwritable(path))
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::Write { path: path.to_owned(), problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        check_writable(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write(&path, b"first, and longer").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn places_that_cannot_be_written_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| check_writable(path).unwrap_err().to_string();
        let missing = folder.path().join("missing").join("out.png");
        assert!(message(&missing).contains("missing/out.png: there is no folder"), "{}", message(&missing));
        assert!(message(folder.path()).contains("it is a folder"));
        assert!(write(&missing, b"").is_err());
    }
}
