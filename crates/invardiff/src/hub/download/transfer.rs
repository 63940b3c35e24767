//! One attempt at one file, by the hub's client, under a bound on its silence.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use std::{io, thread};

use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiError, ApiRepo};
use indicatif::ProgressBar;

use crate::hub::listing::File;
use crate::hub::progress::bytes_bar;

/// Why an attempt came to nothing.
pub(super) enum Broken {
    /// The connection broke: another attempt may go on.
    Cut(String),
    /// Nothing was heard for too long. The attempt may still be under way, so there is no other one.
    Silent,
    /// What is there of the file cannot be gone on with.
    Stale,
    /// Another attempt would end the same.
    Fatal(Fatal),
}

/// Why no attempt can succeed.
pub(super) enum Fatal {
    /// The server refused.
    Status(u16),
    /// The server said what no hub says.
    Answer(String),
    /// Another program holds the file.
    Locked(PathBuf),
    /// The cache cannot be written.
    Io(io::Error),
}

/// What is heard of a transfer.
enum Signal {
    Length(u64),
    Bytes(u64),
    Done(Result<PathBuf, ApiError>),
}

/// Downloads a file, or goes on with it; the path is the one in the commit's folder. The client has no bound on a server's
/// silence, so it works in a thread of its own.
pub(super) fn transfer(repo: ApiRepo, file: &File, patience: Duration) -> Result<PathBuf, Broken> {
    let (sender, receiver) = channel();
    let name = file.name.clone();
    thread::spawn(move || {
        let result = repo.download_with_progress(&name, Meter(sender.clone()));
        // Nobody listens any more where the transfer was given up.
        sender.send(Signal::Done(result)).ok();
    });
    let bar = bytes_bar(file.size.unwrap_or(0), &file.name);
    let done = listen(&receiver, &bar, patience);
    bar.finish_and_clear();
    done
}

fn listen(receiver: &Receiver<Signal>, bar: &ProgressBar, patience: Duration) -> Result<PathBuf, Broken> {
    loop {
        match receiver.recv_timeout(patience) {
            Ok(Signal::Length(length)) => {
                bar.set_length(length);
                bar.set_position(0);
            }
            Ok(Signal::Bytes(bytes)) => bar.inc(bytes),
            Ok(Signal::Done(Ok(pointer))) => return Ok(pointer),
            Ok(Signal::Done(Err(error))) => return Err(broken(error)),
            Err(RecvTimeoutError::Timeout) => return Err(Broken::Silent),
            // The client panics at answers that it has no error for.
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Broken::Fatal(Fatal::Answer("the hub's client stopped at it".into())));
            }
        }
    }
}

/// Tells of every piece that arrives.
struct Meter(Sender<Signal>);

impl Progress for Meter {
    fn init(&mut self, size: usize, _: &str) {
        self.0.send(Signal::Length(size as u64)).ok();
    }

    fn update(&mut self, size: usize) {
        self.0.send(Signal::Bytes(size as u64)).ok();
    }

    fn finish(&mut self) {}
}

fn broken(error: ApiError) -> Broken {
    match error {
        ApiError::MissingHeader(name) => Broken::Fatal(Fatal::Answer(format!("it lacks the header {name}"))),
        ApiError::InvalidHeader(name) => {
            Broken::Fatal(Fatal::Answer(format!("its header {name} is unreadable")))
        }
        ApiError::ParseIntError(_) => Broken::Fatal(Fatal::Answer("it says no length".into())),
        ApiError::RequestError(error) => match *error {
            ureq::Error::StatusCode(416) => Broken::Stale,
            ureq::Error::StatusCode(status @ (408 | 429 | 500..=599)) => {
                Broken::Cut(format!("HTTP {status}"))
            }
            ureq::Error::StatusCode(status) => Broken::Fatal(Fatal::Status(status)),
            other => Broken::Cut(other.to_string()),
        },
        ApiError::IoError(error) => match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory => Broken::Fatal(Fatal::Io(error)),
            _ => Broken::Cut(error.to_string()),
        },
        ApiError::TooManyRetries(error) => broken(*error),
        ApiError::InvalidResume => Broken::Stale,
        ApiError::LockAcquisition(lock) => Broken::Fatal(Fatal::Locked(lock)),
    }
}
