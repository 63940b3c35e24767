//! A file that has not arrived whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use invardiff_plan::files;

use crate::hub::content::{Content, Hasher};
use crate::hub::listing::Wanted;

/// What has arrived of a file, and its hash so far.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    content: Content,
    length: u64,
    size: u64,
    dropped: usize,
}

/// Why a part is not the file.
pub(super) enum Unlike {
    /// Its hash is another one, this.
    Hash(String),
    /// It cannot be read or written.
    Io(io::Error),
}

impl Part {
    /// Opens what is there of a file. What cannot be its beginning is dropped.
    pub(super) fn open(path: &Path, wanted: &Wanted) -> io::Result<Self> {
        // For appending, so that what is there is never written over.
        let file = File::options().read(true).append(true).create(true).open(path)?;
        let (content, size) = (wanted.content.clone(), wanted.size);
        let mut part = Self {
            path: path.to_owned(),
            file,
            hasher: content.hasher(size),
            content,
            length: 0,
            size,
            dropped: 0,
        };
        part.read_again()?;
        if part.length > size || (part.length == size && !part.is_whole()) {
            part.restart()?;
        }
        Ok(part)
    }

    /// How many bytes have arrived.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes are missing.
    pub(super) fn missing(&self) -> u64 {
        self.size - self.length.min(self.size)
    }

    /// Adds what arrived.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// How often bytes that had arrived were dropped.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// Drops what has arrived.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.dropped += usize::from(self.length > 0);
        self.file.set_len(0)?;
        (self.hasher, self.length) = (self.content.hasher(self.size), 0);
        Ok(())
    }

    /// Gives a file that is whole its name, once it lies on the disk for good.
    pub(super) fn finish(self, blob: &Path) -> Result<(), Unlike> {
        let found = self.hasher.finish();
        if self.length != self.size || found != self.content.name() {
            return Err(Unlike::Hash(found));
        }
        self.file.sync_all().map_err(Unlike::Io)?;
        let named = fs::rename(&self.path, blob);
        named.and_then(|()| files::sync_folder(blob.parent().unwrap_or(Path::new(".")))).map_err(Unlike::Io)
    }

    fn is_whole(&self) -> bool {
        self.hasher.clone().finish() == self.content.name()
    }

    fn read_again(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        while self.length <= self.size {
            match self.file.read(&mut buffer)? {
                0 => break,
                count => {
                    self.hasher.update(&buffer[..count]);
                    self.length += count as u64;
                }
            }
        }
        Ok(())
    }
}
