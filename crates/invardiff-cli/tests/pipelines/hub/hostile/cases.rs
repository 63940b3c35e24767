//! What such a hub does, one thing at a time.

use super::outcome;
use super::server::{Evil, SMALL, To, WEIGHTS, files};
use crate::hub::server::{git, sha256};

/// Runs cases beside each other: most of their time is waiting.
fn all(cases: &[(Evil, Option<&str>)]) {
    std::thread::scope(|scope| {
        for (evil, refusal) in cases {
            scope.spawn(move || match refusal {
                Some(text) => outcome(evil.clone()).refused(text),
                None => outcome(evil.clone()).fetched(),
            });
        }
    });
}

#[test]
fn an_honest_hub_is_taken_at_its_word() {
    let honest = outcome(Evil::Nothing);
    honest.fetched();
    assert!(honest.hosts.told_hub(super::TOKEN) > 0);
}

/// Names of files in the listing.
#[test]
fn names_that_lead_out_are_refused() {
    let name = |name: &str| Evil::Name(name.to_owned());
    let none = Some("a name that none can have");
    all(&[
        (name("../evil.json"), none),
        (name("/etc/evil.json"), none),
        (name("..\\evil.json"), none),
        (name("transformer/../../evil.json"), none),
        (name("transformer//evil.json"), none),
        (name("transformer/\u{1b}[2Jevil.json"), none),
        (name("transformer/\u{202e}nosj.json"), none),
        (name("transformer/C:evil.json"), Some("no file can have that name")),
        (name("transformer/nul.json"), Some("no file can have that name")),
        (name("transformer/evil.json"), Some("evil.json is not on the hub (HTTP 404)")),
        (name(SMALL), Some("stands in it twice")),
        // A file where a folder must be.
        (name("transformer"), None),
    ]);
}

/// Hashes, commits and sizes in the listing.
#[test]
fn hashes_and_commits_that_are_none_are_refused() {
    let (hash, commit) =
        (|hash: &str| Evil::Hash(hash.to_owned()), |commit: &str| Evil::Commit(commit.to_owned()));
    let (none, no_commit) = (Some("with a hash that is none"), Some("its commit is none"));
    let weights = &files()[2].1;
    all(&[
        (hash("../../../../victim.txt"), none),
        (hash("ROOT/victim.txt"), none),
        (hash(&sha256(weights).to_ascii_uppercase()), none),
        (hash(&git(weights)), none),
        (hash(""), none),
        (hash(&sha256(b"other")), Some("its SHA-256 is")),
        (commit("../../../other"), no_commit),
        (commit("ROOT/other"), no_commit),
        (commit("c0ffee0"), no_commit),
        (commit(&sha256(b"a")), no_commit),
        (commit(""), no_commit),
        (Evil::Size("-5"), Some("the list of files: the server's answer makes no sense")),
        (Evil::Size("null"), Some("without a size")),
        (Evil::Size("1e99"), Some("the list of files: the server's answer makes no sense")),
        (Evil::Size("799999"), Some("its length is 800000, and the hub says 799999")),
        (Evil::Size("18446744073709551615"), Some("are to be downloaded, and the disk")),
    ]);
}

/// Headers that another client makes paths of.
#[test]
fn headers_name_nothing() {
    all(&[
        (Evil::Etag("ROOT/victim.txt".into()), None),
        (Evil::Etag("../../../victim.txt".into()), None),
        (Evil::Etag("..\\..\\..\\victim.txt".into()), None),
        (Evil::CommitHeader("ROOT/other".into()), None),
        (Evil::CommitHeader("../../../other".into()), None),
    ]);
}

/// Where a request is sent on to.
#[test]
fn the_token_is_not_sent_on() {
    let weights = Some("transformer/diffusion_pytorch_model.safetensors: the server's answer makes no sense");
    let location = |location: &str| Evil::Location(location.to_owned());
    all(&[
        (Evil::Redirect(To::Port), None),
        (Evil::Redirect(To::Host), None),
        (Evil::Redirect(To::There), None),
        (Evil::Redirect(To::Back), None),
        (Evil::ListingElsewhere, None),
        (Evil::Loop, weights),
        (Evil::NoLocation, weights),
        (location("/a b"), weights),
        (location("file:///etc/passwd"), weights),
        (location("x/y"), weights),
        (location("http://ann:pw@HOST/cdn"), weights),
    ]);
}

/// More than was listed, or less, or without end.
#[test]
fn a_download_ends_where_it_was_to_end() {
    let length = |found: &'static str| Some(found);
    all(&[
        (Evil::Huge, length("its length is 10737418240, and the hub says 800000")),
        (Evil::Endless, length("its length is more than 800000, and the hub says 800000")),
        (Evil::Chunked, length("its length is more than 800000, and the hub says 800000")),
        (Evil::Less, length("its length is 799999, and the hub says 800000")),
        (Evil::Range("bytes 0-1/18446744073709551615"), None),
        (Evil::Range("bytes 0-1/-5"), None),
        (Evil::Range("nonsense"), None),
        (
            Evil::WrongStretch,
            Some("diffusion_pytorch_model.safetensors: the server's answer makes no sense: it is another"),
        ),
        (Evil::Drops, Some("did not arrive whole: ")),
    ]);
}

#[test]
fn a_drip_is_not_waited_for() {
    let whole = "transformer/diffusion_pytorch_model.safetensors did not arrive whole: ";
    all(&[
        (Evil::Drip, Some("less than 1024 bytes a second")),
        (Evil::DripInHeaders, Some(whole)),
        (Evil::Silence, Some(whole)),
        (Evil::LongHeaders, Some("the server's answer makes no sense: it does not speak HTTP")),
        (Evil::SlowListing, Some("cannot be reached")),
    ]);
}

#[test]
fn what_was_changed_is_found() {
    all(&[
        (Evil::Damage(WEIGHTS), Some("safetensors was damaged on its way: its SHA-256 is")),
        (Evil::Damage(SMALL), Some("config.json was damaged on its way: its SHA-1 (of git's blob) is")),
    ]);
}

#[test]
fn a_listing_is_bounded() {
    all(&[
        (Evil::BigListing, Some("the list of files: the server's answer makes no sense: it is longer than")),
        (Evil::DeepListing, Some("the list of files: the server's answer makes no sense: EOF while")),
        (Evil::NoListing, Some("the list of files: the server's answer makes no sense")),
    ]);
}
