//! Weights from a hub on loopback.

mod command;
mod faults;
mod offline;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use invardiff::{Hub, HubError, HubId};
use server::{HubServer, REPO, Seen};

/// A few bytes that stand for weights.
fn weights() -> Vec<u8> {
    (0..200_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

const LARGE: &str = "transformer/diffusion_pytorch_model.safetensors";

fn files() -> Vec<(String, Vec<u8>)> {
    let small = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    vec![
        small("README.md", "not needed"),
        small("model_index.json", r#"{"_class_name": "DiTPipeline"}"#),
        small("transformer/config.json", "{}"),
        (LARGE.to_owned(), weights()),
    ]
}

/// A served repository and an empty cache.
struct Place {
    server: HubServer,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { server: HubServer::start(files()), folder: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> &Path {
        self.folder.path()
    }

    /// A hub that gives up soon.
    fn hub(&self) -> Hub {
        Hub::new(self.cache())
            .with_endpoint(&self.server.endpoint)
            .with_patience(Duration::from_secs(2), Duration::from_millis(10))
    }

    fn fetch(&self) -> Result<PathBuf, HubError> {
        self.hub().fetch(&id())
    }

    fn message(&self) -> String {
        self.fetch().unwrap_err().to_string()
    }
}

fn id() -> HubId {
    HubId::parse(REPO).unwrap()
}

/// The ranges that were asked of the large file, without the probe for its length.
fn ranges(seen: &[Seen]) -> Vec<String> {
    let large =
        seen.iter().filter(|request| request.path.ends_with(LARGE) && request.path.starts_with("/elsewhere"));
    large.filter_map(|request| request.range.clone()).filter(|range| range != "bytes=0-0").collect()
}

#[test]
fn what_is_needed_arrives_and_is_not_fetched_twice() {
    let place = Place::new();
    let folder = place.fetch().unwrap();
    assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
    assert!(folder.join("model_index.json").is_file() && !folder.join("README.md").exists());
    // The layout of the hub's own tools.
    let repo = place.cache().join("models--someone--tiny");
    assert_eq!(folder, repo.join("snapshots").join("c0ffee0"));
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), "c0ffee0");
    assert_eq!(std::fs::read(repo.join("blobs").join(server::sha256(&weights()))).unwrap(), weights());
    assert!(place.server.seen().iter().all(|request| request.authorization.is_none()));
    assert_eq!(place.fetch().unwrap(), folder);
    let again = place.server.seen();
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0].path.starts_with("/api/models/someone/tiny/revision/main"), "{again:?}");
}

#[test]
fn a_new_commit_brings_what_changed_alone() {
    let place = Place::new();
    let before = place.fetch().unwrap();
    place.server.publish("c0ffee1", "transformer/config.json", b"{\"changed\": true}");
    place.server.seen();
    let after = place.fetch().unwrap();
    assert!(after.ends_with("snapshots/c0ffee1") && before.is_dir());
    assert_eq!(std::fs::read(after.join(LARGE)).unwrap(), weights());
    assert_eq!(std::fs::read(after.join("transformer/config.json")).unwrap(), b"{\"changed\": true}");
    let asked: Vec<String> = place.server.seen().into_iter().map(|request| request.path).collect();
    assert!(asked.iter().all(|path| !path.ends_with(LARGE)), "{asked:?}");
}

#[test]
fn a_cached_file_of_another_length_is_fetched_anew() {
    let place = Place::new();
    let folder = place.fetch().unwrap();
    std::fs::write(folder.join(LARGE), b"short").unwrap();
    assert_eq!(std::fs::read(place.fetch().unwrap().join(LARGE)).unwrap(), weights());
    // A link that leads nowhere, as when someone cleared the contents.
    std::fs::remove_dir_all(place.cache().join("models--someone--tiny/blobs")).unwrap();
    assert_eq!(std::fs::read(place.fetch().unwrap().join(LARGE)).unwrap(), weights());
}

#[test]
fn the_token_goes_to_the_hub() {
    let place = Place::new();
    place.hub().with_token(Some("hf_secret".into())).fetch(&id()).unwrap();
    assert!(
        place
            .server
            .seen()
            .iter()
            .all(|request| request.authorization.as_deref() == Some("Bearer hf_secret"))
    );
}
