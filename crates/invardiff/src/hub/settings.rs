//! A hub's address, its cache, and how it is asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use invardiff_plan::files;

use super::endpoint::shown;
use super::error::HubError;

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
    pub(super) endpoint: String,
    pub(super) cache: PathBuf,
    pub(super) token: Option<String>,
    pub(super) offline: bool,
    pub(super) patience: Duration,
    pub(super) pause: Duration,
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

    /// What the hub's own tools would use: the cache in `HF_HUB_CACHE` (formerly `HUGGINGFACE_HUB_CACHE`), otherwise `hub` in
    /// `HF_HOME`, which is `huggingface` in `XDG_CACHE_HOME` (by default `.cache` at home); the token in `HF_TOKEN` or in the file
    /// `token` in `HF_HOME`, the hub at `HF_ENDPOINT`, and no request at all where `HF_HUB_OFFLINE` is 1.
    ///
    /// # Errors
    /// [`HubError::NoHome`] when there is none of these variables and no home folder.
    pub fn from_env() -> Result<Self, HubError> {
        let variable = |name: &str| std::env::var(name).ok();
        Self::from_variables(&variable, std::env::home_dir().as_deref())
    }

    /// [`Hub::from_env`] of these variables and this home folder.
    fn from_variables(
        variable: &dyn Fn(&str) -> Option<String>,
        at_home: Option<&Path>,
    ) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // As the hub's own tools do, in variables that no shell has expanded.
        let folder = |name: &str| {
            set(name).map(|path| match (path.strip_prefix("~/"), at_home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => PathBuf::from(path),
            })
        };
        let caches = || folder("XDG_CACHE_HOME").or_else(|| Some(at_home?.join(".cache")));
        let home = folder("HF_HOME").or_else(|| Some(caches()?.join("huggingface")));
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.or_else(|| Some(home.as_ref()?.join("hub"))).ok_or(HubError::NoHome)?;
        let noted = || files::read_text(&home.as_ref()?.join("token"), files::SETTINGS_LIMIT).ok();
        let token = set("HF_TOKEN").or_else(noted).map(|token| token.trim().to_owned());
        let hub = Self::new(cache).with_token(token.filter(|token| !token.is_empty()));
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

    /// The hub's address to print: without user and password.
    pub(super) fn shown(&self) -> String {
        shown(&self.endpoint)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The cache where these variables are set.
    fn cache(variables: &[(&str, &str)], home: Option<&str>) -> Option<PathBuf> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Some(Hub::from_variables(&variable, home.map(Path::new)).ok()?.cache)
    }

    #[test]
    fn the_cache_is_where_the_hub_s_own_tools_have_it() {
        let all = [
            ("HF_HUB_CACHE", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b"),
            ("HF_HOME", "~/c"),
            ("XDG_CACHE_HOME", "/d"),
        ];
        for (from, expected) in [
            (0, "/a"),
            (1, "/b"),
            (2, "/u/c/hub"),
            (3, "/d/huggingface/hub"),
            (4, "/u/.cache/huggingface/hub"),
        ] {
            assert_eq!(cache(&all[from..], Some("/u")), Some(PathBuf::from(expected)));
        }
        assert_eq!(cache(&[("HF_HUB_CACHE", " ")], Some("/u")), cache(&[], Some("/u")));
        assert_eq!(cache(&all[..1], None), Some(PathBuf::from("/a")));
        assert_eq!(cache(&[], None), None);
    }
}
