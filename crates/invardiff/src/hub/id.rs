//! The name of a model on a hub.

use std::fmt;

use super::error::HubError;

/// `owner/name`, perhaps with a revision: `owner/name@branch-tag-or-commit`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubId {
    repo: String,
    revision: Option<String>,
}

impl HubId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`HubError::Id`] for anything else, such as a path.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let refuse = || HubError::Id { given: text.to_owned() };
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (text, None),
        };
        let (owner, name) = repo.split_once('/').ok_or_else(refuse)?;
        let letters = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let word = |part: &str| !part.is_empty() && part.len() <= 96 && letters(part);
        let dots = |part: &str| part.starts_with('.') || part.contains("..");
        let revision_fits = |revision: &str| {
            !revision.starts_with('/') && revision.split('/').all(|part| word(part) && !dots(part))
        };
        let fits = [owner, name].into_iter().all(|part| word(part) && !dots(part));
        if !fits || !revision.is_none_or(revision_fits) {
            return Err(refuse());
        }
        Ok(Self { repo: repo.to_owned(), revision: revision.map(str::to_owned) })
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
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
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
            "",
        ] {
            assert!(matches!(HubId::parse(path), Err(HubError::Id { .. })), "{path}");
        }
    }
}
