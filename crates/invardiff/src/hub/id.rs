//! The name of a model on a hub.

use std::fmt;
use std::path::PathBuf;

use super::error::HubError;
use super::name;

/// `owner/name`, perhaps with a revision, `owner/name@branch-tag-or-commit`, and perhaps with a file of weights,
/// `owner/name:flux1-dev-Q8_0.gguf`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubId {
    repo: String,
    revision: Option<String>,
    file: Option<String>,
}

impl HubId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`HubError::Id`] for anything else, such as a path.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let refuse = || HubError::Id { given: text.to_owned() };
        let (id, file) = match text.split_once(':') {
            Some((id, file)) => (id, Some(file)),
            None => (text, None),
        };
        let (repo, revision) = match id.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (id, None),
        };
        let (owner, name) = repo.split_once('/').ok_or_else(refuse)?;
        let letters = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let word = |part: &str| !part.is_empty() && part.len() <= 96 && letters(part);
        let dots = |part: &str| part.starts_with('.') || part.contains("..");
        let revision_fits = |revision: &str| {
            !revision.starts_with('/') && revision.split('/').all(|part| word(part) && !dots(part))
        };
        let fits = [owner, name].into_iter().all(|part| word(part) && !dots(part));
        let file_fits = |file: &str| !file.is_empty() && name::fault(file).is_none();
        if !fits || !revision.is_none_or(revision_fits) || !file.is_none_or(file_fits) {
            return Err(refuse());
        }
        let [revision, file] = [revision, file].map(|part| part.map(str::to_owned));
        Ok(Self { repo: repo.to_owned(), revision, file })
    }

    /// The file of weights that is named, by its path in the repository.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The place of the model in the folder of a commit.
    pub(super) fn within(&self, snapshot: PathBuf) -> PathBuf {
        match &self.file {
            Some(file) => snapshot.join(file),
            None => snapshot,
        }
    }

    /// `owner/name`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The revision, `main` where none is named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repo)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))?;
        self.file.as_ref().map_or(Ok(()), |file| write!(f, ":{file}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_owner_and_a_name() {
        let id = HubId::parse("black-forest-labs/FLUX.1-dev").unwrap();
        assert_eq!((id.repo(), id.revision()), ("black-forest-labs/FLUX.1-dev", "main"));
        let id = HubId::parse("owner/name@refs/pr/1").unwrap();
        assert_eq!(
            (id.repo(), id.revision(), id.to_string()),
            ("owner/name", "refs/pr/1", "owner/name@refs/pr/1".to_owned())
        );
    }

    #[test]
    fn a_file_of_a_repository_may_be_named() {
        let id = HubId::parse("owner/name@main:old/flux-Q8_0.gguf").unwrap();
        assert_eq!((id.repo(), id.revision(), id.file()), ("owner/name", "main", Some("old/flux-Q8_0.gguf")));
        assert_eq!(id.to_string(), "owner/name@main:old/flux-Q8_0.gguf");
        assert_eq!(HubId::parse("owner/name").unwrap().file(), None);
    }

    #[test]
    fn paths_are_no_ids() {
        for path in [
            "weights",
            "./weights",
            "../weights",
            "/weights",
            "a/b/c",
            "a/",
            "/b",
            "a/..",
            "a/.b",
            "~/b",
            "a b/c",
            "a/b@",
            "a/b@/c",
            "a/b@../c",
            "a/b@x/../../y",
            "C:\\b",
            "a/b:",
            "a/b:../c",
            "a/b:/c",
            "",
        ] {
            assert!(matches!(HubId::parse(path), Err(HubError::Id { .. })), "{path}");
        }
    }
}
