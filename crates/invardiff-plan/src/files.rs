//! Files that are there whole or not at all, also after a power cut, and files that are read up to a limit. The one place where
//! this workspace does either.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::{Builder, NamedTempFile};

use crate::encoding;

/// How a file is named until it is whole: no other can be guessed to be this one.
const PREFIX: &str = ".invardiff-";
const SUFFIX: &str = ".part";
/// After how long such a file is what a run left that was ended; none takes so long to write one.
const LEFT: Duration = Duration::from_hours(1);

/// Writes a file, or replaces it: the bytes go to a new file beside it, onto the disk, and then take its name. Whatever ends the
/// program or the machine, the name stands for all of the old bytes or all of the new ones. Links are not followed: one at `path`
/// is replaced. What runs that were ended left in the folder over an hour ago is removed.
///
/// # Errors
/// The system's, and for a path that names a folder or no file; what was at `path` is then unchanged.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_on(&System, path, bytes)
}

/// Refuses a place where [`write()`] could not write, before the work whose result goes there; leaves nothing behind.
///
/// # Errors
/// As [`write()`].
pub fn check_writable(path: &Path) -> io::Result<()> {
    System.create(folder_of(path)?).map(drop)
}

/// The bytes of a file that has at most `limit` of them; no more are read.
///
/// # Errors
/// The system's, and of kind [`io::ErrorKind::FileTooLarge`] for a larger file.
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        let detail = format!("larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, detail));
    }
    Ok(bytes)
}

/// The text of a file that has at most `limit` bytes, in UTF-8 or UTF-16 ([`encoding::decode`]); no more are read.
///
/// # Errors
/// As [`read`], and of kind [`io::ErrorKind::InvalidData`] for bytes that are no text.
pub fn read_text(path: &Path, limit: usize) -> io::Result<String> {
    encoding::decode(read(path, limit)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Has the names of a folder's files lie on the disk for good, after one was renamed. Where a system cannot do that, nothing is done.
///
/// # Errors
/// The system's.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    System.sync_folder(folder)
}

/// The most bytes of a file of settings (`config.json` and the like): 1 MiB.
pub const SETTINGS_LIMIT: usize = 1 << 20;

/// The most bytes of a file of tensors that is read as a whole (weights of models are not): 1 GiB.
pub const TENSORS_LIMIT: usize = 1 << 30;

/// What writing a file asks of the system, one method a step, so that tests can have each of them fail or be the last.
trait Disk {
    fn create(&self, folder: &Path) -> io::Result<NamedTempFile>;
    fn fill(&self, file: &mut NamedTempFile, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, file: &NamedTempFile) -> io::Result<()>;
    fn rename(&self, file: NamedTempFile, path: &Path) -> io::Result<()>;
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

fn write_on(disk: &impl Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path)?;
    remove_left(folder);
    let mut file = disk.create(folder)?;
    disk.fill(&mut file, bytes)?;
    disk.sync(&file)?;
    disk.rename(file, path)?;
    disk.sync_folder(folder)
}

/// The folder that a file is to be in.
fn folder_of(path: &Path) -> io::Result<&Path> {
    let refuse = |kind, detail: String| Err(io::Error::new(kind, detail));
    if path.is_dir() {
        return refuse(io::ErrorKind::IsADirectory, "it is a folder".into());
    }
    if path.file_name().is_none() {
        return refuse(io::ErrorKind::InvalidInput, "it names no file".into());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return refuse(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display()));
    }
    Ok(folder)
}

/// Removes what runs that were ended left in a folder. What cannot be removed is left to another run.
fn remove_left(folder: &Path) {
    let is_left = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        let old = || {
            let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            SystemTime::now().duration_since(found.modified().ok()?).ok()
        };
        ours && old().is_some_and(|age| age > LEFT)
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().filter(is_left) {
        let _ = fs::remove_file(entry.path());
    }
}

/// The file system.
struct System;

impl Disk for System {
    fn create(&self, folder: &Path) -> io::Result<NamedTempFile> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What any new file gets: the process's mask takes its bits off.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        builder.tempfile_in(folder)
    }

    fn fill(&self, file: &mut NamedTempFile, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &NamedTempFile) -> io::Result<()> {
        file.as_file().sync_all()
    }

    fn rename(&self, file: NamedTempFile, path: &Path) -> io::Result<()> {
        file.persist(path).map(drop).map_err(|error| error.error)
    }

    /// So that the new name is on the disk as well. Not every system can do this to a folder.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if !cfg!(unix) {
            return Ok(());
        }
        match File::open(folder)?.sync_all() {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
            {
                Ok(())
            }
            synced => synced,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A disk on which one step fails, or is the last one of a program that is killed.
    struct Faulty {
        step: Cell<usize>,
        fails: usize,
        kills: bool,
    }

    impl Faulty {
        fn comes_to(&self) -> io::Result<()> {
            self.step.set(self.step.get() + 1);
            if self.step.get() == self.fails { Err(io::Error::other("fault")) } else { Ok(()) }
        }

        /// A killed program cleans nothing up.
        fn leave(&self, file: NamedTempFile, error: io::Error) -> io::Error {
            if self.kills {
                file.keep().unwrap();
            }
            error
        }
    }

    impl Disk for Faulty {
        fn create(&self, folder: &Path) -> io::Result<NamedTempFile> {
            self.comes_to()?;
            System.create(folder)
        }

        /// Half of the bytes arrive.
        fn fill(&self, file: &mut NamedTempFile, bytes: &[u8]) -> io::Result<()> {
            System.fill(file, &bytes[..bytes.len() / 2])?;
            if let Err(error) = self.comes_to() {
                if self.kills {
                    file.disable_cleanup(true);
                }
                return Err(error);
            }
            System.fill(file, &bytes[bytes.len() / 2..])
        }

        fn sync(&self, file: &NamedTempFile) -> io::Result<()> {
            self.comes_to()?;
            System.sync(file)
        }

        fn rename(&self, file: NamedTempFile, path: &Path) -> io::Result<()> {
            match self.comes_to() {
                Err(error) => Err(self.leave(file, error)),
                Ok(()) => System.rename(file, path),
            }
        }

        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            self.comes_to()?;
            System.sync_folder(folder)
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn whatever_step_fails_the_file_is_the_old_or_the_new_one() {
        let (old, new) = (vec![1; 5000], vec![2; 9000]);
        for (fails, kills) in (1..=6).flat_map(|step| [(step, false), (step, true)]) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("plan.json");
            write(&path, &old).unwrap();
            let disk = Faulty { step: Cell::new(0), fails, kills };
            let written = write_on(&disk, &path, &new);
            assert_eq!(written.is_ok(), fails == 6, "step {fails}");
            // The fifth step is the folder's: the new name is there already.
            let expected = if fails < 5 { &old } else { &new };
            assert_eq!(&fs::read(&path).unwrap(), expected, "step {fails}, killed: {kills}");
            let left = names(folder.path()).len() - 1;
            let killed_with_file = kills && matches!(fails, 2 | 4);
            assert_eq!(left, usize::from(killed_with_file), "step {fails}, killed: {kills}");
            write(&path, &new).unwrap();
            assert_eq!(fs::read(&path).unwrap(), new);
        }
    }

    #[test]
    fn what_an_ended_run_left_is_removed_by_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let (fresh, old) = (".invardiff-abc.part", ".invardiff-def.part");
        for name in [fresh, old, "mine.part", ".other-x.part"] {
            let file = File::create(folder.path().join(name)).unwrap();
            if name != fresh {
                file.set_modified(SystemTime::now() - 2 * LEFT).unwrap();
            }
        }
        write(&folder.path().join("a.txt"), b"a").unwrap();
        let mut left = names(folder.path());
        left.sort_unstable();
        assert_eq!(left, [fresh, ".other-x.part", "a.txt", "mine.part"]);
    }

    #[test]
    fn places_that_cannot_be_written_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| check_writable(path).unwrap_err().to_string();
        let missing = folder.path().join("missing").join("out.png");
        assert!(message(&missing).starts_with("there is no folder"), "{}", message(&missing));
        assert_eq!(message(folder.path()), "it is a folder");
        assert!(write(&missing, b"").is_err());
        check_writable(&folder.path().join("out.png")).unwrap();
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        fs::write(&victim, b"mine").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(
            (fs::read(&victim).unwrap(), fs::read(&link).unwrap()),
            (b"mine".to_vec(), b"new".to_vec())
        );
        assert!(!link.is_symlink());
    }

    #[test]
    fn no_more_is_read_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "larger than 4 bytes");
        fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path, 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
        #[cfg(unix)]
        assert_eq!(read(Path::new("/dev/zero"), 1000).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
