//! A hub that means harm, on two hosts of loopback. Whatever it says: nothing is written outside of the cache, no other server
//! sees the token, bytes and time are bounded, and the error names the file.

mod cases;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use invardiff::{Hub, HubError, HubId};
use server::{Evil, Hosts, SMALL, WEIGHTS};

/// What a fetch came to.
struct Outcome {
    result: Result<PathBuf, HubError>,
    hosts: Hosts,
    folder: tempfile::TempDir,
}

const TOKEN: &str = "hf_secret";

/// Fetches a model of a hub that does one evil thing, and holds it to what is promised of all of them.
fn outcome(evil: Evil) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("victim.txt"), "mine").unwrap();
    fs::create_dir(root.join("other")).unwrap();
    let before = files(root);
    let hosts = Hosts::start(evil.clone(), root);
    let hub = Hub::new(root.join("cache"))
        .with_endpoint(&hosts.hub)
        .with_token(Some(TOKEN.into()))
        .with_patience(Duration::from_secs(1), Duration::from_millis(10));
    let began = Instant::now();
    let result = hub.fetch(&HubId::parse(server::REPO).unwrap());
    let took = began.elapsed();
    // 3 attempts, each of one silence and one stretch of the least rate at most.
    assert!(took < Duration::from_secs(10), "{evil:?} took {took:?}");
    let (cached, outside): (BTreeMap<PathBuf, Vec<u8>>, _) =
        files(root).into_iter().partition(|(path, _)| path.starts_with(root.join("cache")));
    assert_eq!(before, outside, "{evil:?} wrote outside of the cache");
    for path in cached.keys() {
        plain(path, root, &evil);
    }
    let told = hosts.told_elsewhere(TOKEN);
    assert!(told.is_empty(), "{evil:?}: another server saw the token at {told:?}");
    // What lies in buffers of two sockets comes on top of what is read.
    let (sent, most) = (hosts.sent(), 16 << 20);
    assert!(sent < most, "{evil:?}: {sent} bytes were taken");
    Outcome { result, hosts, folder }
}

/// Every file and link below a folder, with what it holds; links are not followed.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            found.insert(
                path.clone(),
                fs::read_link(&path).unwrap().to_string_lossy().into_owned().into_bytes(),
            );
        } else if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// A path of the cache is one that its layout has, and a link leads to a content beside it.
fn plain(path: &Path, root: &Path, evil: &Evil) {
    let inside = path.strip_prefix(root.join("cache")).unwrap();
    let parts: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
    let hex = |text: &str| {
        matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let fits = match parts.as_slice() {
        [".locks", "models--someone--tiny", lock] => lock.strip_suffix(".lock").is_some_and(hex),
        ["models--someone--tiny", "blobs", blob] => hex(blob.strip_suffix(".part").unwrap_or(blob)),
        ["models--someone--tiny", "refs", "main"] => true,
        ["models--someone--tiny", "snapshots", commit, name @ ..] => {
            hex(commit) && [SMALL, WEIGHTS, "model_index.json"].contains(&name.join("/").as_str())
        }
        _ => false,
    };
    assert!(fits, "{evil:?} made {}", inside.display());
    if path.is_symlink() {
        let blobs = fs::canonicalize(root.join("cache/models--someone--tiny/blobs")).unwrap();
        assert_eq!(fs::canonicalize(path).unwrap().parent(), Some(blobs.as_path()), "{evil:?}");
    }
}

impl Outcome {
    /// The error, which names the repository and holds a text.
    fn refused(&self, text: &str) {
        let evil = &self.hosts.evil;
        let error = match &self.result {
            Ok(folder) => panic!("{evil:?} was taken for a model: {}", folder.display()),
            Err(error) => error.to_string(),
        };
        assert!(error.starts_with("someone/tiny") && error.contains(text), "{evil:?}: {error}");
        assert!(!error.contains(TOKEN) && !error.chars().any(char::is_control), "{evil:?}: {error:?}");
        // No revision is noted, so the next run does not take what is there for a model.
        assert!(!self.folder.path().join("cache/models--someone--tiny/refs/main").exists(), "{evil:?}");
    }

    /// The model, whole and as published.
    fn fetched(&self) {
        let folder = self.result.as_ref().unwrap_or_else(|error| panic!("{:?}: {error}", self.hosts.evil));
        for (name, bytes) in server::files() {
            assert_eq!(fs::read(folder.join(&name)).unwrap(), bytes, "{:?}: {name}", self.hosts.evil);
        }
    }
}
