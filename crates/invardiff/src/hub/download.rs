//! Downloading what is missing, under the bounds that the listing sets.

pub(super) mod job;
mod part;
mod room;
mod transfer;

use std::fs;
use std::time::{Duration, Instant};

use super::cache::{Lock, io_error, remove};
use super::error::HubError;
use super::listing::Wanted;
use crate::units::bytes;
use job::{Download, LEAST_RATE};
use part::{Part, Unlike};
use transfer::{Broken, Transfer};

/// Attempts that bring next to nothing before giving up.
const ATTEMPTS: usize = 3;
/// How often to look whether another program has done with a file.
const LOOK: Duration = Duration::from_millis(100);

impl Download<'_> {
    /// Every file that is not in the cache yet.
    pub(super) fn all(&self, files: &[Wanted]) -> Result<(), HubError> {
        let mut missing = Vec::new();
        for file in files {
            if !self.is_there(file) && !self.is_elsewhere(file)? {
                missing.push(file);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let size = missing.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
        self.cache.remove_left();
        room::check(self.id, &self.hub.cache, self.still_missing(&missing))?;
        let (cache, size) = (self.hub.cache.display(), bytes(size as usize));
        self.progress.note(&format!(
            "{}: downloading {} files, {size}, into {cache}",
            self.id,
            missing.len()
        ));
        missing.into_iter().try_for_each(|file| self.one(file))
    }

    /// The bytes that are yet to come: files that are there in part are gone on with.
    fn still_missing(&self, files: &[&Wanted]) -> u64 {
        let there =
            |file: &Wanted| fs::metadata(self.cache.part(&file.content)).map_or(0, |found| found.len());
        files.iter().fold(0, |sum, file| sum.saturating_add(file.size.saturating_sub(there(file))))
    }

    /// Whether the file stands in the commit's folder already.
    fn is_there(&self, file: &Wanted) -> bool {
        let pointer = self.cache.snapshot(self.commit).join(&file.name);
        fs::metadata(pointer).is_ok_and(|found| found.is_file() && found.len() == file.size)
    }

    /// Whether the content is in the cache; then the commit's folder gets it as well. One of another length is removed.
    fn is_elsewhere(&self, file: &Wanted) -> Result<bool, HubError> {
        let blob = self.cache.blob(&file.content);
        match fs::metadata(&blob) {
            Ok(found) if found.len() == file.size => {
                self.cache.link(self.commit, &file.name, &file.content)?;
                Ok(true)
            }
            Ok(_) => remove(&blob).map(|()| false),
            Err(_) => Ok(false),
        }
    }

    fn one(&self, file: &Wanted) -> Result<(), HubError> {
        let _lock = self.lock(file)?;
        // Another program may have brought it while this one waited.
        if self.is_elsewhere(file)? {
            return Ok(());
        }
        let path = self.cache.part(&file.content);
        let mut part = Part::open(&path, file).map_err(io_error(&path))?;
        self.fill(file, &mut part)?;
        let unlike = match part.finish(&self.cache.blob(&file.content)) {
            Ok(()) => return self.cache.link(self.commit, &file.name, &file.content),
            Err(Unlike::Io(source)) => return Err(HubError::Io { path, source }),
            Err(Unlike::Hash(found)) => found,
        };
        remove(&path)?;
        Err(self.damaged(file, file.content.kind(), unlike, file.content.name().to_owned()))
    }

    /// Has the rest of a file arrive, in as many attempts as bring something.
    fn fill(&self, file: &Wanted, part: &mut Part) -> Result<(), HubError> {
        let mut fruitless = 0;
        while part.missing() > 0 {
            let (began, before) = (Instant::now(), part.length());
            let transfer = Transfer { download: self, file };
            let detail = match transfer.run(part) {
                Ok(()) => continue,
                Err(Broken::Fatal(error)) => return Err(error),
                Err(Broken::Cut(detail)) => detail,
            };
            let brought = part.length().saturating_sub(before);
            let time = (began.elapsed() + self.hub.pause).as_secs_f64();
            let enough = brought > 0 && brought as f64 >= LEAST_RATE as f64 * time;
            fruitless = if enough { 0 } else { fruitless + 1 };
            if fruitless == ATTEMPTS || part.dropped() > ATTEMPTS {
                return Err(HubError::Interrupted {
                    repo: self.id.to_string(),
                    file: file.name.clone(),
                    detail,
                });
            }
            std::thread::sleep(self.hub.pause);
        }
        Ok(())
    }

    /// The right to write a file. Another program's is waited for as long as the file grows.
    fn lock(&self, file: &Wanted) -> Result<Lock, HubError> {
        let length = || fs::metadata(self.cache.part(&file.content)).map_or(0, |found| found.len());
        let (mut last, mut since) = (length(), Instant::now());
        loop {
            if let Some(lock) = self.cache.lock(&file.content)? {
                return Ok(lock);
            }
            std::thread::sleep(LOOK);
            let now = length();
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > self.hub.patience {
                let lock = self.cache.lock_path(&file.content);
                return Err(HubError::Busy { repo: self.id.to_string(), file: file.name.clone(), lock });
            }
        }
    }
}
