//! What a hub lists, without asking it.

use super::error::HubError;
use super::files;
use super::id::HubId;
use super::listing::{self, File, Listing, Wanted};

/// A file that a hub lists and that a download fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its path in the repository, a name on every system.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its hash in lower-case hexadecimal: SHA-256 of the bytes, or SHA-1 of git's blob.
    pub hash: String,
}

impl HubId {
    /// The files of this model that a download fetches, by a hub's answer to `GET api/models/OWNER/NAME/revision/REVISION?blobs=true`.
    ///
    /// # Errors
    /// [`HubError::Answer`] for an answer that is no list of files, and for a name, size or hash that none can have.
    pub fn listed(&self, answer: &[u8]) -> Result<Vec<ListedFile>, HubError> {
        let listing = Listing::read(self, answer).map_err(|detail| listing::wrong(self, detail))?;
        let listed = |file: Wanted| ListedFile {
            name: file.name,
            size: file.size,
            hash: file.content.name().to_owned(),
        };
        Ok(wanted(self, &listing)?.into_iter().map(listed).collect())
    }
}

/// What a download fetches of a list.
///
/// # Errors
/// [`HubError::Answer`] for an entry that cannot be fetched, [`HubError::Unreadable`] for a repository that is not read here.
pub(super) fn wanted(id: &HubId, listing: &Listing) -> Result<Vec<Wanted>, HubError> {
    let present = listing.files.iter().filter(|file| file.size != Some(0));
    let names: Vec<&str> = present.map(|file| file.name.as_str()).collect();
    let unreadable = |detail| HubError::Unreadable { repo: id.to_string(), detail };
    let chosen = files::wanted(&names, id.file()).map_err(unreadable)?;
    let files = listing.files.iter().filter(|file| chosen.contains(&file.name));
    let wanted: Result<Vec<Wanted>, String> = files.map(File::wanted).collect();
    wanted.map_err(|detail| listing::wrong(id, detail))
}
