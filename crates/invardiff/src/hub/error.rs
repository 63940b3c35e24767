//! Why a model could not be fetched.

use std::io;
use std::path::PathBuf;

/// Why a model could not be fetched. Names the repository, the file, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text that names no model of a hub.
    #[error("'{given}' is no model of a hub: expected owner/name, owner/name@revision or owner/name:FILE")]
    Id {
        /// The text.
        given: String,
    },
    /// Nowhere to put a cache.
    #[error(
        "there is no home folder for downloads; set HF_HOME or HF_HUB_CACHE to a folder with room for the weights"
    )]
    NoHome,
    /// An address that is none of a hub.
    #[error("'{given}' is no address of a hub: {why}; set HF_ENDPOINT to one such as https://huggingface.co")]
    Endpoint {
        /// The address, without user and password.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An access token that cannot be sent.
    #[error(
        "the access token has characters that no token has; see HF_TOKEN, or the file `token` in HF_HOME"
    )]
    Token,
    /// A model that needs permission.
    #[error("{repo}: {file} may not be read (HTTP {status}): {advice}")]
    Denied {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// The status that the hub gave.
        status: u16,
        /// What to do.
        advice: String,
    },
    /// A repository, revision or file that is not there.
    #[error("{repo}: {file} is not on the hub (HTTP {status}): {advice}")]
    NotFound {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// The status that the hub gave.
        status: u16,
        /// What to do.
        advice: String,
    },
    /// A transfer that did not come to its end.
    #[error(
        "{repo}: {file} did not arrive whole: {detail}; what has arrived is kept, run again to go on with it"
    )]
    Interrupted {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// What happened.
        detail: String,
    },
    /// More than the disk has room for.
    #[error(
        "{repo}: {missing} are to be downloaded, and the disk of {} has {free}; make room, or set HF_HOME to a folder on another disk",
        cache.display()
    )]
    NoSpace {
        /// The repository.
        repo: String,
        /// The bytes to come.
        missing: String,
        /// The cache.
        cache: PathBuf,
        /// The bytes that are free.
        free: String,
    },
    /// A file that is not what the hub says.
    #[error(
        "{repo}: {file} was damaged on its way: {what} is {found}, and the hub says {expected}; it was removed, run again to \
         fetch it anew"
    )]
    Damaged {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// What differs.
        what: &'static str,
        /// As it arrived.
        found: String,
        /// As it should be.
        expected: String,
    },
    /// No network, and nothing in the cache.
    #[error(
        "{repo} is not in the cache {}, and {why}; fetch it once with a network, or give the path of its folder",
        cache.display()
    )]
    Offline {
        /// The repository.
        repo: String,
        /// The cache.
        cache: PathBuf,
        /// Why the hub was not asked.
        why: String,
    },
    /// Another download of the same file.
    #[error("{repo}: {file} is being downloaded by another program, and nothing arrives; end it, or wait for it (lock: {})", lock.display())]
    Busy {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// The file that stands for the lock.
        lock: PathBuf,
    },
    /// An answer that no hub gives.
    #[error("{repo}: {file}: the server's answer makes no sense: {detail}; is HF_ENDPOINT a hub?")]
    Answer {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A repository whose files are not read here, by their names. Nothing was fetched.
    #[error("{repo}: {detail}")]
    Unreadable {
        /// The repository.
        repo: String,
        /// What is missing or ambiguous, and what there is.
        detail: String,
    },
    /// A cache that cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}
