//! Work without a network.

use invardiff::{HubError, HubId};

use super::server::Fault;
use super::{LARGE, Place, id, weights};

#[test]
fn a_filled_cache_is_enough() {
    let place = Place::new();
    let folder = place.fetch().unwrap();
    place.server.seen();
    let offline = place.hub().with_offline(true);
    assert_eq!(offline.fetch(&id()).unwrap(), folder);
    let by_commit = HubId::parse(&format!("someone/tiny@{}", super::server::commit("c0ffee0"))).unwrap();
    assert_eq!(offline.fetch(&by_commit).unwrap(), folder);
    assert_eq!(place.server.seen(), []);
    // A hub that is not there, and one that is not able to answer.
    let nowhere = place.hub().with_endpoint("http://127.0.0.1:9");
    assert_eq!(nowhere.fetch(&id()).unwrap(), folder);
    place.server.fails(&[Fault::Status("/api/", 503, "")]);
    assert_eq!(place.fetch().unwrap(), folder);
    assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
}

#[test]
fn an_empty_cache_says_why_it_is_not_filled() {
    let place = Place::new();
    let error = place.hub().with_offline(true).fetch(&id()).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }));
    let message = error.to_string();
    assert!(message.starts_with("someone/tiny is not in the cache"), "{message}");
    assert!(
        message.contains("HF_HUB_OFFLINE forbids") && message.contains("the path of its folder"),
        "{message}"
    );
    let message = place.hub().with_endpoint("http://127.0.0.1:9").fetch(&id()).unwrap_err().to_string();
    assert!(message.contains("http://127.0.0.1:9 cannot be reached ("), "{message}");
    assert_eq!(place.server.seen(), []);
}

/// A revision is noted when it is whole, so a download that broke off is not taken for one.
#[test]
fn half_a_download_is_no_filled_cache() {
    let place = Place::new();
    place.server.fails(&[Fault::Status(LARGE, 404, "EntryNotFound")]);
    place.fetch().unwrap_err();
    let error = place.hub().with_offline(true).fetch(&id()).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    place.fetch().unwrap();
    place.hub().with_offline(true).fetch(&id()).unwrap();
}
