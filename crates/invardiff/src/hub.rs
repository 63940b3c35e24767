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
mod listed;
mod listing;
mod name;
mod settings;

use std::path::PathBuf;

use invardiff_runtime::Progress;

pub use error::HubError;
pub use id::HubId;
pub use listed::ListedFile;
pub use settings::Hub;

use cache::RepoCache;
use client::Client;
use download::job::Download;
use listing::{Listing, NoListing};

impl Hub {
    /// The folder of a model on this machine, or the file that the id names. What is not in the cache is downloaded: of a diffusers
    /// folder the configurations, tokenizers and one copy of each part's weights, of any other repository one transformer and the
    /// parts beside it. What is read is known from the list of files, so nothing is fetched of a repository that is not read. A
    /// file that is there in part is gone on with.
    ///
    /// Without a network the revision in the cache is used; the next call with one brings it up to date.
    ///
    /// # Errors
    /// One [`HubError`] that names the repository, the file and what to do. Files that had arrived are kept.
    pub fn fetch(&self, id: &HubId) -> Result<PathBuf, HubError> {
        self.fetch_with(id, &())
    }

    /// [`Hub::fetch`], telling `progress` of the files and of each file's bytes, and that the cached revision is used where
    /// the hub cannot be reached.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn fetch_with(&self, id: &HubId, progress: &dyn Progress) -> Result<PathBuf, HubError> {
        if self.offline {
            return self.cached(id, "HF_HUB_OFFLINE forbids to ask the hub");
        }
        let client = Client::new(self)?;
        match Listing::ask(self, &client, id) {
            Ok(listing) => self.complete(&client, id, &listing, progress),
            Err(NoListing::Refused(error)) => Err(error),
            Err(NoListing::Unreachable(why)) => {
                let folder = self.cached(id, &format!("{} cannot be reached ({why})", self.shown()))?;
                progress
                    .note(&format!("{id}: {} cannot be reached, the cached revision is used", self.shown()));
                Ok(folder)
            }
        }
    }

    /// Downloads what is missing of a revision, then notes that the revision is there.
    fn complete(
        &self,
        client: &Client,
        id: &HubId,
        listing: &Listing,
        progress: &dyn Progress,
    ) -> Result<PathBuf, HubError> {
        let wanted = listed::wanted(id, listing)?;
        let cache = RepoCache::new(&self.cache, id);
        Download { hub: self, client, id, cache: &cache, commit: &listing.commit, progress }.all(&wanted)?;
        cache.note(id.revision(), &listing.commit)?;
        Ok(id.within(cache.snapshot(&listing.commit)))
    }

    /// The folder or file of the revision that is in the cache.
    fn cached(&self, id: &HubId, why: &str) -> Result<PathBuf, HubError> {
        let found = RepoCache::new(&self.cache, id).find(id.revision(), |names| {
            files::wanted(names, id.file()).is_ok_and(|chosen| !chosen.is_empty())
        });
        let found = found.map(|snapshot| id.within(snapshot)).filter(|path| path.exists());
        found.ok_or_else(|| HubError::Offline {
            repo: id.to_string(),
            cache: self.cache.clone(),
            why: why.to_owned(),
        })
    }
}
