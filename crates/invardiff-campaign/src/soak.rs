//! Many threads in one process, for minutes: every image must equal the first of its kind, every file be whole, and memory stay flat.

mod download;
mod draw;
mod files;

use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What a run is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long.
    pub time: Duration,
    /// Threads that draw.
    pub threads: usize,
    /// A folder in which `models`, `files` and `hub` are made, and removed at the end.
    pub folder: PathBuf,
}

/// What a run came to; it did not end before its time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Images drawn, each equal to the first of its model, plan and seed.
    pub images: u64,
    /// Models opened while their files were there, and images drawn of them.
    pub opened: u64,
    /// Models whose files had gone; each was one error.
    pub vanished: u64,
    /// Files written whole.
    pub written: u64,
    /// Files that could not be written; each was one error and left the old file.
    pub unwritten: u64,
    /// Downloads that ended well, each with the bytes that were published.
    pub downloaded: u64,
    /// Downloads that broke; each was one error.
    pub broken: u64,
    /// Resident memory in bytes, after a fifth of the time.
    pub resident_early: u64,
    /// The most resident memory in bytes that was seen from then on.
    pub resident_late: u64,
}

impl Report {
    /// By what share resident memory grew.
    pub fn growth(&self) -> f64 {
        self.resident_late as f64 / self.resident_early.max(1) as f64 - 1.0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(f, "{:>9} images, none differs", self.images)?;
        writeln!(f, "{:>9} models opened, {} whose files had gone", self.opened, self.vanished)?;
        writeln!(f, "{:>9} files written, {} writes failed, none is torn", self.written, self.unwritten)?;
        writeln!(f, "{:>9} downloads, {} broke", self.downloaded, self.broken)?;
        let (early, late) = (mib(self.resident_early), mib(self.resident_late));
        write!(
            f,
            "{early:>9.1} MiB resident after a fifth of the time, at most {late:.1} later ({:+.2} %)",
            self.growth() * 100.0
        )
    }
}

/// What the threads share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    ended: AtomicBool,
    fault: Mutex<Option<String>>,
    images: AtomicU64,
    opened: AtomicU64,
    vanished: AtomicU64,
    written: AtomicU64,
    unwritten: AtomicU64,
    downloaded: AtomicU64,
    broken: AtomicU64,
}

impl Shared {
    /// Does a piece of work again and again until the end; what is wrong ends the run.
    pub(crate) fn repeat(&self, mut work: impl FnMut(u64) -> Result<(), String>) {
        for round in 0.. {
            if self.ended.load(Relaxed) {
                return;
            }
            if let Err(fault) = work(round) {
                self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(fault);
                self.ended.store(true, Relaxed);
            }
        }
    }
}

/// Downloads of which some have to end well: one connection in five brings what it has to.
const TRIES: u64 = 100;

/// Runs until the time is over.
///
/// # Errors
/// The first thing that was not as it has to be: an image, a file, a download, or an error without words.
pub fn run(options: &Options) -> Result<Report, String> {
    let (shared, images) = (Shared::default(), draw::Images::first()?);
    let server = download::Server::start().map_err(|error| error.to_string())?;
    let mut memory = (0, 0);
    std::thread::scope(|scope| {
        for thread in 0..options.threads {
            let (shared, images) = (&shared, &images);
            scope.spawn(move || shared.repeat(|round| images.again(shared, thread as u64 + round * 7)));
        }
        let (shared, images, at) = (&shared, &images, &options.folder);
        scope.spawn(move || files::models_vanish(shared, images, &at.join("models")));
        scope.spawn(move || files::writes_fail(shared, &at.join("files")));
        scope.spawn(move || download::downloads_break(shared, &server, &at.join("hub")));
        memory = watch(shared, options.time);
        shared.ended.store(true, Relaxed);
    });
    for part in ["models", "files", "hub"] {
        drop(std::fs::remove_dir_all(options.folder.join(part)));
    }
    let fault = shared.fault.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (downloaded, broken) = (shared.downloaded.into_inner(), shared.broken.into_inner());
    match fault {
        Some(fault) => Err(fault),
        // Where none of so many ends well, none is checked.
        None if downloaded == 0 && broken > TRIES => Err(format!("none of {broken} downloads ended well")),
        None => Ok(Report {
            images: shared.images.into_inner(),
            opened: shared.opened.into_inner(),
            vanished: shared.vanished.into_inner(),
            written: shared.written.into_inner(),
            unwritten: shared.unwritten.into_inner(),
            downloaded,
            broken,
            resident_early: memory.0,
            resident_late: memory.1,
        }),
    }
}

/// Resident memory after a fifth of the time, and the most later; ends early where a thread has ended the run.
fn watch(shared: &Shared, time: Duration) -> (u64, u64) {
    let (began, mut early, mut late) = (Instant::now(), 0, 0);
    while began.elapsed() < time && !shared.ended.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        let now = resident().unwrap_or(0);
        if began.elapsed() < time / 5 {
            // The most so far: between two images a thread holds less.
            early = now.max(early);
        } else {
            late = now.max(late);
        }
    }
    (early, late)
}

/// Resident memory of this process in bytes, where the system says.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
