//! Weights from a hub of models, through the hub's own client and into its own cache.
//!
//! The client (the `hf-hub` crate) knows the protocol, the layout of the cache and how to go on with a file that is there in
//! part. Around it stands what it leaves open: which files of a repository are needed, errors that say what to do, a bound
//! on silence, new attempts after a cut, the check of every file against the hub's SHA-256, and work without a network.

mod download;
mod error;
mod files;
mod id;
mod listing;
mod progress;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

pub use error::HubError;
pub use id::HubId;

use download::Download;
use listing::{Listing, NoListing};

/// A hub and its cache on this machine.
///
/// ```no_run
/// use invardiff::{Hub, HubId};
///
/// let folder = Hub::from_env()?.fetch(&HubId::parse("facebook/DiT-XL-2-256")?)?;
/// # Ok::<(), invardiff::HubError>(())
/// ```
#[derive(Clone, Debug)]
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
        let cache = Cache::new(home.join("hub"));
        let token = set("HF_TOKEN").map(|token| token.trim().to_owned()).or_else(|| cache.token());
        let hub = Self::new(cache.path()).with_token(token);
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

    /// With another bound on a server's silence (60 seconds), and another pause between attempts (2 seconds).
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
        let api = self.api(id)?;
        match Listing::ask(self, &api, id) {
            Ok(listing) => self.complete(&api, id, &listing),
            Err(NoListing::Refused(error)) => Err(error),
            Err(NoListing::Unreachable(why)) => {
                let folder = self.cached(id, &format!("{} cannot be reached ({why})", self.endpoint))?;
                eprintln!("{id}: {} cannot be reached, the cached revision is used", self.endpoint);
                Ok(folder)
            }
        }
    }

    /// Downloads what is missing of a revision, then notes that the revision is there.
    fn complete(&self, api: &Api, id: &HubId, listing: &Listing) -> Result<PathBuf, HubError> {
        let wanted = files::wanted(&listing.files);
        if wanted.is_empty() {
            return Err(HubError::Empty { repo: id.to_string() });
        }
        let download = Download { hub: self, api, id, commit: &listing.commit };
        download.all(&wanted)?;
        let repo = self.repo(id);
        repo.create_ref(&listing.commit)
            .map_err(|source| HubError::Io { path: self.cache.clone(), source })?;
        Ok(repo.pointer_path(&listing.commit))
    }

    /// The folder of the revision that is in the cache.
    fn cached(&self, id: &HubId, why: &str) -> Result<PathBuf, HubError> {
        let missing =
            || HubError::Offline { repo: id.to_string(), cache: self.cache.clone(), why: why.to_owned() };
        let folder = self.cache.join(Repo::model(id.repo().to_owned()).folder_name());
        let revision = id.revision();
        // A commit is its own name; branches and tags are looked up.
        let commit = std::fs::read_to_string(folder.join("refs").join(revision));
        let commit = commit.unwrap_or_else(|_| revision.to_owned());
        let snapshot = folder.join("snapshots").join(commit.trim());
        if snapshot.is_dir() { Ok(snapshot) } else { Err(missing()) }
    }

    fn api(&self, id: &HubId) -> Result<Api, HubError> {
        ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_user_agent("invardiff", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| HubError::Answer {
                repo: id.to_string(),
                file: "the client".to_owned(),
                detail: error.to_string(),
            })
    }

    fn repo(&self, id: &HubId) -> CacheRepo {
        let revision = id.revision().to_owned();
        Cache::new(self.cache.clone()).repo(Repo::with_revision(
            id.repo().to_owned(),
            RepoType::Model,
            revision,
        ))
    }
}
