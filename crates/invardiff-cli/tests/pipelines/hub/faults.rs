//! What goes wrong between a hub and here.

use invardiff::{HubError, HubId};

use super::server::Fault;
use super::{LARGE, Place, id, ranges, weights};

#[test]
fn a_cut_connection_is_taken_up_where_it_broke() {
    let place = Place::new();
    place.server.fails(&[Fault::Cut(LARGE, 300_000), Fault::Cut(LARGE, 0), Fault::Cut(LARGE, 100_000)]);
    let folder = place.fetch().unwrap();
    assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
    let expected = ["", "bytes=300000-", "bytes=300000-", "bytes=400000-"];
    assert_eq!(ranges(&place.server.seen()), expected);
}

#[test]
fn the_next_run_goes_on_with_what_has_arrived() {
    let place = Place::new();
    let cut = || Fault::Cut(LARGE, 0);
    place.server.fails(&[Fault::Cut(LARGE, 300_000), cut(), cut(), cut()]);
    let error = place.fetch().unwrap_err();
    assert!(matches!(error, HubError::Interrupted { .. }), "{error}");
    let message = error.to_string();
    assert!(message.starts_with(&format!("someone/tiny: {LARGE} did not arrive whole: ")), "{message}");
    assert!(message.contains("run again to go on"), "{message}");
    place.server.fails(&[]);
    place.server.seen();
    let folder = place.fetch().unwrap();
    assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
    assert_eq!(ranges(&place.server.seen()), ["bytes=300000-"]);
}

#[test]
fn a_silent_server_is_not_waited_for() {
    let place = Place::new();
    place.server.fails(&[Fault::Silent(LARGE, 0), Fault::Silent(LARGE, 1000), Fault::Silent(LARGE, 1000)]);
    let message = place.message();
    assert!(message.contains("no data for 2 s"), "{message}");
}

#[test]
fn a_silence_that_ends_is_gone_on_from() {
    let place = Place::new();
    place.server.fails(&[Fault::Silent(LARGE, 300_000)]);
    let folder = place.fetch().unwrap();
    assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
    assert_eq!(ranges(&place.server.seen()), ["", "bytes=300000-"]);
}

#[test]
fn a_wrong_checksum_is_found_and_the_file_removed() {
    let place = Place::new();
    place.server.fails(&[Fault::Damaged(LARGE)]);
    let error = place.fetch().unwrap_err();
    let HubError::Damaged { file, what, found, expected, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (file.as_str(), *what, expected.as_str()),
        (LARGE, "its SHA-256", super::server::sha256(&weights()).as_str())
    );
    assert_ne!(found, expected);
    let message = error.to_string();
    assert!(message.contains("it was removed, run again to fetch it anew"), "{message}");
    let repo = place.cache().join("models--someone--tiny");
    assert!(
        !repo.join("blobs").join(expected).exists()
            && !repo.join("snapshots").join(super::server::commit("c0ffee0")).join(LARGE).exists()
    );
    let folder = place.fetch().unwrap();
    assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
}

/// Some servers in between give the whole file where the rest was asked for.
#[test]
fn a_whole_file_in_place_of_the_rest_is_taken() {
    let place = Place::new();
    place.server.fails(&[Fault::Cut(LARGE, 300_000), Fault::Whole(LARGE)]);
    assert_eq!(std::fs::read(place.fetch().unwrap().join(LARGE)).unwrap(), weights());
}

#[test]
fn a_part_that_cannot_be_continued_is_dropped() {
    let place = Place::new();
    let blobs = place.cache().join("models--someone--tiny/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let part = blobs.join(format!("{}.part", super::server::sha256(&weights())));
    for length in [800_000, 800_001] {
        std::fs::write(&part, vec![0; length]).unwrap();
        let folder = place.fetch().unwrap();
        assert_eq!(std::fs::read(folder.join(LARGE)).unwrap(), weights());
        std::fs::remove_dir_all(place.cache().join("models--someone--tiny/snapshots")).unwrap();
        std::fs::remove_file(blobs.join(super::server::sha256(&weights()))).unwrap();
    }
}

#[test]
fn a_gated_model_says_where_its_terms_are() {
    let place = Place::new();
    let endpoint = place.server.endpoint.clone();
    for status in [401, 403] {
        place.server.fails(&[Fault::Status("resolve", status, "GatedRepo")]);
        let error = place.fetch().unwrap_err();
        assert!(matches!(error, HubError::Denied { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("someone/tiny: model_index.json may not be read (HTTP {status})")),
            "{message}"
        );
        assert!(
            message.contains(&format!("{endpoint}/someone/tiny")) && message.contains("set HF_TOKEN"),
            "{message}"
        );
    }
    // With a token it is the token's account that is not let in; the token itself is never shown.
    place.server.fails(&[Fault::Status("/api/", 403, "GatedRepo")]);
    let message = place.hub().with_token(Some("hf_secret".into())).fetch(&id()).unwrap_err().to_string();
    assert!(
        message.contains("the token in HF_TOKEN may be wrong") && !message.contains("hf_secret"),
        "{message}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    let cases = [
        (
            "someone/other",
            404,
            "",
            "someone/other: the repository is not on the hub (HTTP 404): check the name",
        ),
        // Without a token a hub does not tell a private repository from none.
        ("someone/tiny", 401, "RepoNotFound", "set HF_TOKEN if it is private"),
        ("someone/tiny@v9", 404, "RevisionNotFound", "someone/tiny@v9: revision v9 is not on the hub"),
    ];
    for (id, status, code, expected) in cases {
        place.server.fails(&[Fault::Status("/api/", status, code)]);
        let error = place.hub().fetch(&HubId::parse(id).unwrap()).unwrap_err();
        assert!(matches!(error, HubError::NotFound { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    place.server.fails(&[Fault::Status(LARGE, 404, "EntryNotFound")]);
    let message = place.message();
    assert!(message.starts_with(&format!("someone/tiny: {LARGE} is not on the hub (HTTP 404)")), "{message}");
}

#[test]
fn a_server_that_is_no_hub_is_told_apart() {
    let place = Place::new();
    let hub = |path: &str| place.hub().with_endpoint(&format!("{}/{path}", place.server.endpoint));
    let message = hub("elsewhere/model_index.json?").fetch(&id()).unwrap_err().to_string();
    assert!(message.contains("is no address of a hub"), "{message}");
    place.server.fails(&[Fault::Status("/api/", 418, "")]);
    let message = place.message();
    assert!(message.contains("is HF_ENDPOINT a hub?"), "{message}");
    place.server.publish("c0ffee2", "transformer/../../escape.json", b"{}");
    let message = place.message();
    assert!(message.contains("a name that none can have"), "{message}");
    assert!(std::fs::read_dir(place.cache()).unwrap().next().is_none());
}

#[test]
fn a_repository_without_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = super::HubServer::start([("README.md".to_owned(), b"nothing".to_vec())]);
    let hub = invardiff::Hub::new(folder.path()).with_endpoint(&server.endpoint);
    let message = hub.fetch(&id()).unwrap_err().to_string();
    assert!(message.starts_with("someone/tiny") && message.contains("it has README.md"), "{message}");
}
