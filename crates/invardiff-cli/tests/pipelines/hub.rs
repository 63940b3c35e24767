//! Weights from a hub on loopback.

mod command;
mod faults;
mod hostile;
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

/// The ranges that were asked of the large file: empty for the whole.
fn ranges(seen: &[Seen]) -> Vec<String> {
    let large =
        seen.iter().filter(|request| request.path.ends_with(LARGE) && request.path.starts_with("/elsewhere"));
    large.map(|request| request.range.clone().unwrap_or_default()).collect()
}

#[test]
fn what_is_needed_arrives_and_is_not_fetched_twice() {
    let place = Place::new();
    let folder = place.fetch().unwrap();
    assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
    assert!(folder.join("model_index.json").is_file() && !folder.join("README.md").exists());
    // The layout of the hub's own tools.
    let repo = place.cache().join("models--someone--tiny");
    assert_eq!(folder, repo.join("snapshots").join(server::commit("c0ffee0")));
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), server::commit("c0ffee0"));
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
    assert!(after.ends_with(format!("snapshots/{}", server::commit("c0ffee1"))) && before.is_dir());
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

#[test]
fn a_user_in_the_address_is_told_to_the_hub_and_not_printed() {
    let place = Place::new();
    let address = |server: &str| server.replace("http://", "http://ann:pass%40word@");
    let hub = place.hub().with_endpoint(&address(&place.server.endpoint));
    assert!(!format!("{hub:?}").contains("pass"), "{hub:?}");
    hub.fetch(&id()).unwrap();
    let basic = "Basic YW5uOnBhc3NAd29yZA==";
    assert!(place.server.seen().iter().all(|request| request.authorization.as_deref() == Some(basic)));
    // Where it cannot be reached, and where it has nothing.
    let elsewhere = Hub::new(place.cache().join("other"));
    let nowhere = elsewhere.clone().with_endpoint(&address("http://127.0.0.1:9")).fetch(&id()).unwrap_err();
    let other = HubId::parse("someone/other").unwrap();
    let nothing = elsewhere.with_endpoint(&address(&place.server.endpoint)).fetch(&other).unwrap_err();
    for message in [nowhere.to_string(), nothing.to_string()] {
        assert!(message.contains("http://127.0.0.1:") && !message.contains("pass"), "{message}");
    }
}

#[test]
fn six_at_once_fetch_each_file_once() {
    let place = Place::new();
    let folders: Vec<PathBuf> = std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..6).map(|_| scope.spawn(|| place.fetch().unwrap())).collect();
        fetches.into_iter().map(|fetch| fetch.join().unwrap()).collect()
    });
    for folder in folders {
        assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
    }
    assert_eq!(ranges(&place.server.seen()), [""]);
}

/// A lock is the program's that has it, and goes when that ends: one that holds it and brings nothing is not waited for.
#[test]
fn a_file_that_another_program_holds_is_named() {
    let place = Place::new();
    let locks = place.cache().join(".locks/models--someone--tiny");
    std::fs::create_dir_all(&locks).unwrap();
    let path = locks.join(format!("{}.lock", server::sha256(&weights())));
    let held = std::fs::File::create(&path).unwrap();
    held.lock().unwrap();
    let error = place.fetch().unwrap_err();
    assert!(matches!(error, HubError::Busy { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("someone/tiny: {LARGE} is being downloaded")), "{error}");
    drop(held);
    place.fetch().unwrap();
}
