//! What is downloaded from where to where.

use invardiff_runtime::Progress;

use crate::hub::cache::RepoCache;
use crate::hub::client::Client;
use crate::hub::error::HubError;
use crate::hub::id::HubId;
use crate::hub::listing::Wanted;
use crate::hub::settings::Hub;

/// What an attempt must bring on average, in bytes a second: far below any line in use, far above a drip.
pub(super) const LEAST_RATE: u64 = 1024;

/// A download of one commit.
pub(in crate::hub) struct Download<'a> {
    pub(in crate::hub) hub: &'a Hub,
    pub(in crate::hub) client: &'a Client,
    pub(in crate::hub) id: &'a HubId,
    pub(in crate::hub) cache: &'a RepoCache,
    pub(in crate::hub) commit: &'a str,
    /// Hears of files and bytes.
    pub(in crate::hub) progress: &'a dyn Progress,
}

impl Download<'_> {
    /// The error of a file that is not as the hub lists it.
    pub(super) fn damaged(
        &self,
        file: &Wanted,
        what: &'static str,
        found: String,
        expected: String,
    ) -> HubError {
        HubError::Damaged { repo: self.id.to_string(), file: file.name.clone(), what, found, expected }
    }
}
