//! Whether there is room on the disk for what is to come.

use std::path::Path;

use crate::hub::error::HubError;
use crate::hub::id::HubId;
use crate::units::bytes;

/// Refuses a download for which the cache's disk has no room. A disk that does not say how much it has is not asked again.
///
/// # Errors
/// [`HubError::NoSpace`].
pub(super) fn check(id: &HubId, cache: &Path, missing: u64) -> Result<(), HubError> {
    // The cache itself may not be there yet.
    let there = cache.ancestors().find(|folder| folder.is_dir());
    let free = there.and_then(|folder| fs4::available_space(folder).ok());
    match free {
        Some(free) if free < missing => Err(HubError::NoSpace {
            repo: id.to_string(),
            missing: bytes(missing as usize),
            cache: cache.to_owned(),
            free: bytes(free as usize),
        }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_disk_has_is_refused_before_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (id, cache) = (HubId::parse("someone/tiny").unwrap(), folder.path().join("not/yet"));
        check(&id, &cache, 1).unwrap();
        let message = check(&id, &cache, u64::MAX).unwrap_err().to_string();
        assert!(message.starts_with("someone/tiny: 18446744073.71 GB are to be downloaded"), "{message}");
        assert!(
            message.contains("not/yet") && message.ends_with("set HF_HOME to a folder on another disk"),
            "{message}"
        );
    }
}
