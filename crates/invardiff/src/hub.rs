//! Weights from a hub of models, into the cache of the hub's own tools.
//!
//! The hub's list of files says which files there are, how long each is and which hash it has. All else that a server says is
//! not trusted: names and hashes are checked before they become paths, a transfer ends at the listed length and below a least
//! rate, what arrived is checked against its hash before it gets its name, and the user's token goes to the hub alone.

mod cache;
mod client;
mod content;
mod download;
mod endpoint;
mod error;
mod files;
mod id;
mod listing;
mod name;
mod progress;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::HubError;
pub use id::HubId;

use cache::RepoCache;
use client::Client;
use download::Download;
use listing::{Listing, NoListing, Wanted};

/// A hub and its cache on this machine.
///
/// ```no_run
/// use invardiff::{Hub, HubId};
///
/// let folder = Hub::from_env()?.fetch(&HubId::parse("facebook/DiT-XL-2-256")?)?;
/// # Ok::<(), invardiff::HubError>(())
/// ```
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    offline: bool,
    patience: Duration,
    pause: Duration,
}

/// Where models are published.
const ENDPOINT: &str = "https://huggingface.co";
/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long to wait before another attempt.
const PAUSE: Duration = Duration::from_secs(2);

impl Hub {
    /// The public hub, without a token, with its cache in a folder.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            cache: cache.into(),
            token: None,
            offline: false,
            patience: PATIENCE,
            pause: PAUSE,
        }
    }

    /// What the hub's own tools would use: the cache `hub` in `HF_HOME` (by default `.cache/huggingface` at home), the token
    /// in `HF_TOKEN` or in the file `token` in `HF_HOME`, the hub at `HF_ENDPOINT`, and no request at all where
    /// `HF_HUB_OFFLINE` is 1.
    ///
    /// # Errors
    /// [`HubError::NoHome`] when there is neither `HF_HOME` nor a home folder.
    pub fn from_env() -> Result<Self, HubError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let home = match set("HF_HOME") {
            Some(home) => PathBuf::from(home),
            None => std::env::home_dir().ok_or(HubError::NoHome)?.join(".cache").join("huggingface"),
        };
        let noted = || std::fs::read_to_string(home.join("token")).ok();
        let token = set("HF_TOKEN").or_else(noted).map(|token| token.trim().to_owned());
        let hub = Self::new(home.join("hub")).with_token(token.filter(|token| !token.is_empty()));
        let hub = set("HF_ENDPOINT").into_iter().fold(hub, |hub, endpoint| hub.with_endpoint(&endpoint));
        let offline = set("HF_HUB_OFFLINE");
        let yes = ["1", "true", "yes", "on"];
        Ok(hub.with_offline(offline.is_some_and(|value| yes.contains(&value.to_ascii_lowercase().as_str()))))
    }

    /// Another hub.
    pub fn with_endpoint(mut self, endpoint: &str) -> Self {
        endpoint.trim_end_matches('/').clone_into(&mut self.endpoint);
        self
    }

    /// With an access token, or without one.
    pub fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    /// With the cache alone, or with the network.
    pub fn with_offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// With another bound on a server's silence (60 seconds), and another pause between attempts (2 seconds). Over the first,
    /// a transfer that brings less than a KiB a second is given up as well.
    pub fn with_patience(mut self, silence: Duration, pause: Duration) -> Self {
        (self.patience, self.pause) = (silence, pause);
        self
    }

    /// The cache's folder.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The folder of a model on this machine. What is not in the cache is downloaded: of a diffusers folder the
    /// configurations, tokenizers and weights in safetensors where there are any, otherwise the weights beside each other in
    /// the repository. A file that is there in part is gone on with.
    ///
    /// Without a network the revision in the cache is used; the next call with one brings it up to date.
    ///
    /// # Errors
    /// One [`HubError`] that names the repository, the file and what to do. Files that had arrived are kept.
    pub fn fetch(&self, id: &HubId) -> Result<PathBuf, HubError> {
        if self.offline {
            return self.cached(id, "HF_HUB_OFFLINE forbids to ask the hub");
        }
        let client = Client::new(self)?;
        match Listing::ask(self, &client, id) {
            Ok(listing) => self.complete(&client, id, &listing),
            Err(NoListing::Refused(error)) => Err(error),
            Err(NoListing::Unreachable(why)) => {
                let folder = self.cached(id, &format!("{} cannot be reached ({why})", self.shown()))?;
                eprintln!("{id}: {} cannot be reached, the cached revision is used", self.shown());
                Ok(folder)
            }
        }
    }

    /// Downloads what is missing of a revision, then notes that the revision is there.
    fn complete(&self, client: &Client, id: &HubId, listing: &Listing) -> Result<PathBuf, HubError> {
        let wanted: Result<Vec<Wanted>, String> =
            files::wanted(&listing.files).into_iter().map(listing::File::wanted).collect();
        let wanted = wanted.map_err(|detail| {
            let file = "the list of files".to_owned();
            HubError::Answer { repo: id.to_string(), file, detail }
        })?;
        if wanted.is_empty() {
            return Err(HubError::Empty { repo: id.to_string() });
        }
        let cache = RepoCache::new(&self.cache, id);
        Download { hub: self, client, id, cache: &cache, commit: &listing.commit }.all(&wanted)?;
        cache.note(id.revision(), &listing.commit)?;
        Ok(cache.snapshot(&listing.commit))
    }

    /// The folder of the revision that is in the cache.
    fn cached(&self, id: &HubId, why: &str) -> Result<PathBuf, HubError> {
        RepoCache::new(&self.cache, id).find(id.revision()).ok_or_else(|| HubError::Offline {
            repo: id.to_string(),
            cache: self.cache.clone(),
            why: why.to_owned(),
        })
    }

    /// The hub's address to print: without user and password.
    fn shown(&self) -> String {
        endpoint::shown(&self.endpoint)
    }
}

/// Without the token, and without a user or password in the address.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.shown())
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .field("offline", &self.offline)
            .field("patience", &self.patience)
            .field("pause", &self.pause)
            .finish()
    }
}
