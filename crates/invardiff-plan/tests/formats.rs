//! Plan files: every plan survives, and no file, however broken, does more than fail with a message.

#[path = "support/plans.rs"]
mod plans;
#[path = "support/reference.rs"]
mod reference;

use std::fs;

use invardiff_plan::core::Threshold;
use invardiff_plan::formats::{
    AuthorBook, BookName, BookVersion, FILE_LIMIT, PlanFile, SmoothCache, StepMask,
};
use invardiff_plan::{CachePlan, PlanError, Provenance, ReuseRule, Site, Topology};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::{Value, json};

fn small() -> CachePlan {
    let sites = vec![Site::msa(0), Site::mlp(0), Site::msa(1), Site::mlp(1)];
    let reuse = Array2::from_shape_fn((4, 4), |(step, site)| step > 1 && site % 2 == 0);
    let provenance = Provenance { notes: vec!["by hand".into()], warm_up: Some(1), ..Provenance::default() };
    CachePlan::new(sites, vec![false, false, true, false], reuse).unwrap().with_provenance(provenance)
}

/// The message for JSON changed by `edit`.
fn json_error(edit: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(&small().to_json().unwrap()).unwrap();
    edit(&mut value);
    CachePlan::from_json(&value.to_string(), "p.json").unwrap_err().to_string()
}

/// Whatever the bytes, every reader returns.
fn read_all(bytes: &[u8]) {
    let _ = PlanFile::parse(bytes, "b").map(|file| file.plan(Topology::named("dit-s-8-256").ok().as_ref()));
    let _ = PlanFile::parse(bytes, "b").map(|file| file.plan(None));
    let _ = CachePlan::from_bytes(bytes, "b");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = CachePlan::from_json(text, "b");
        let _ = AuthorBook::from_json(text, "b");
        let _ = SmoothCache::from_json(text, "b");
        let _ = StepMask::parse(text, "b");
        let _ = BookName::parse(text);
        let _ = Topology::named(text);
    }
}

proptest! {
    #[test]
    fn json_keeps_everything(plan in plans::plan()) {
        let text = plan.to_json().unwrap();
        prop_assert_eq!(&CachePlan::from_json(&text, "t").unwrap(), &plan);
        let PlanFile::Json(read) = PlanFile::parse(text.as_bytes(), "t").unwrap() else { panic!("it is our JSON") };
        prop_assert_eq!(read, plan);
    }

    #[test]
    fn bincode_keeps_everything(plan in plans::plan()) {
        let bytes = plan.to_bytes().unwrap();
        prop_assert_eq!(&CachePlan::from_bytes(&bytes, "t").unwrap(), &plan);
        let PlanFile::Binary(read) = PlanFile::parse(&bytes, "t").unwrap() else { panic!("it is ours") };
        prop_assert_eq!(read, plan);
    }

    /// Plans without weights and times of their own are written as older programs read them.
    #[test]
    fn the_version_is_the_lowest_that_holds_the_plan(plain in plans::plain_plan(), fitted in plans::fitted_plan()) {
        for (plan, fitted) in [(&plain, false), (&fitted, fitted.grid().is_some() || fitted.fit().is_some() || !fitted.weights().is_empty())] {
            let version = if fitted { 2 } else { 1 };
            prop_assert_eq!(plan.to_bytes().unwrap()[7], version);
            let json: Value = serde_json::from_str(&plan.to_json().unwrap()).unwrap();
            prop_assert_eq!(&json["version"], &json!(version));
            prop_assert_eq!(json.get("fitted").is_some(), fitted);
        }
    }

    #[test]
    fn fingerprints_follow_the_plan(one in plans::plan(), other in plans::plan()) {
        let same = one == other;
        prop_assert_eq!(one.fingerprint().unwrap() == other.fingerprint().unwrap(), same);
        let again = CachePlan::from_json(&one.to_json().unwrap(), "t").unwrap();
        prop_assert_eq!(again.fingerprint().unwrap(), one.fingerprint().unwrap());
    }

    #[test]
    fn books_keep_everything(book in plans::book()) {
        let text = book.to_json();
        let read = AuthorBook::from_json(&text, "t").unwrap();
        prop_assert_eq!(&read, &book);
        prop_assert_eq!(read.to_json(), text.clone());
        let PlanFile::Book(read, None) = PlanFile::parse(text.as_bytes(), "t").unwrap() else { panic!("a book") };
        prop_assert_eq!(read, book);
    }

    #[test]
    fn books_keep_the_plan(book in plans::book()) {
        let plan = book.plan(&book.topology()).unwrap();
        prop_assert_eq!(plan.gate(), book.gate());
        for version in [BookVersion::V1, BookVersion::V2] {
            if let Ok(back) = AuthorBook::from_plan(&plan, book.layout(), version) {
                let again = back.plan(&back.topology()).unwrap();
                prop_assert_eq!((again.gate(), again.reuse()), (plan.gate(), plan.reuse()));
                prop_assert_eq!(again.sites(), plan.sites());
            } else {
                // Only hybrid books cannot be of version 1, and kinds without layers do not reach the plan.
                prop_assert!(version == BookVersion::V1 && book.layout().name() == "hybrid");
            }
        }
    }

    #[test]
    fn masks_keep_everything(gate in prop::collection::vec(any::<bool>(), 1..60)) {
        let mask = StepMask::new(gate);
        prop_assert_eq!(StepMask::parse(&mask.to_string(), "t").unwrap(), mask);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
        read_all(&[b"INVPLAN\x01", &bytes[..]].concat());
        read_all(&[b"INVPLAN\x02", &bytes[..]].concat());
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), digits in "[01,\\[\\]{}\":. a-z_]{0,60}") {
        read_all(text.as_bytes());
        read_all(digits.as_bytes());
        read_all(format!("cache_books_{digits}.json").as_bytes());
    }

    #[test]
    fn damaged_files_never_panic(
        plan in plans::plan(), book in plans::book(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        for mut bytes in [plan.to_bytes().unwrap(), plan.to_json().unwrap().into(), book.to_json().into()] {
            let place = place.index(bytes.len());
            read_all(&bytes[..place]);
            bytes[place] = byte;
            read_all(&bytes);
        }
    }

    #[test]
    fn a_file_cut_short_is_refused(plan in plans::plan(), place in any::<prop::sample::Index>()) {
        let bytes = plan.to_bytes().unwrap();
        prop_assert!(CachePlan::from_bytes(&bytes[..place.index(bytes.len())], "t").is_err());
        let text = plan.to_json().unwrap();
        let end = text.trim_end().len();
        let cut = (0..place.index(end)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        prop_assert!(CachePlan::from_json(&text[..cut], "t").is_err());
    }
}

#[test]
fn the_json_format_is_this() {
    let text = small().to_json().unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "format": "invardiff-plan",
        "version": 1,
        "sites": [{"kinds": ["msa", "mlp"], "first": 0, "layers": 2}],
        "gate": "..#.",
        "reuse": {"msa": ["..", "..", "##", "##"], "mlp": ["..", "..", "..", ".."]},
        "rules": {"gate_site": "trunk", "gate": "hold", "modules": {}, "axis": "step", "times": []},
        "provenance": {
            "method": "", "tool": "", "execution": null, "thresholds": [], "warm_up": 1, "calibration": null,
            "notes": ["by hand"],
        },
    });
    assert_eq!(value, expected);
    let rows: Vec<&str> = text.lines().map(str::trim).filter(|line| line.contains("##")).collect();
    assert_eq!(rows, ["\"##\",", "\"##\""]);
}

#[test]
fn the_binary_format_is_this() {
    // A change of these bytes is a new version of the format, and of every fingerprint in a image.
    let plan =
        CachePlan::new(vec![Site::msa(0)], vec![false, true], Array2::from_elem((2, 1), true)).unwrap();
    let bytes = plan.to_bytes().unwrap();
    let expected: Vec<u8> = [
        b"INVPLAN\x01".as_slice(),
        &[2], // steps
        &[1, 1, 3],
        b"msa",
        &[0, 1],                // one group: one kind, from layer 0, one layer
        &[1, 0b10],             // gate
        &[1, 0b11],             // entries
        &[0, 0, 0, 0, 0],       // rules: trunk, hold, none, step, no times
        &[0, 0, 0, 0, 0, 0, 0], // provenance: empty
    ]
    .concat();
    assert_eq!(bytes, expected);
    assert_eq!(
        plan.fingerprint().unwrap(),
        "079b801b7eff474ae80fbdce594bdfc38c19d4dc0662222bc807359f134cff6d"
    );
}

#[test]
fn every_missing_or_unknown_key_is_named() {
    let object: Value = serde_json::from_str(&small().to_json().unwrap()).unwrap();
    for key in object.as_object().unwrap().keys() {
        let message = json_error(|value| drop(value.as_object_mut().unwrap().remove(key)));
        assert!(message.starts_with("p.json: ") && message.contains(key.as_str()), "{key}: {message}");
    }
    for path in ["", "/rules", "/provenance", "/sites/0"] {
        let message = json_error(|value| value.pointer_mut(path).unwrap()["stray"] = json!(1));
        assert!(message.contains("p.json") && message.contains("stray"), "{path}: {message}");
    }
    let message = json_error(|value| drop(value["rules"].as_object_mut().unwrap().remove("axis")));
    assert!(message.contains("rules") && message.contains("axis"), "{message}");
}

#[test]
fn every_bad_value_is_named_by_file_and_key() {
    type Case = (&'static str, Value, &'static str);
    let cases: [Case; 15] = [
        ("/format", json!("other"), "format"),
        ("/version", json!(3), "version 3 is unknown; this program reads 1 and 2"),
        ("/version", json!(2), "key 'fitted' belongs to version 2"),
        ("/rules/gate", json!("weights"), "rules.gate is weights, expected weights listed for it"),
        ("/version", json!("1"), "version"),
        ("/gate", json!("..x."), "gate: 'x' at 2"),
        ("/gate", json!(".#."), "reuse.mlp, rows has shape [4], expected [3]"),
        ("/gate", json!(""), "gate: it has no steps"),
        ("/reuse/msa/1", json!("..."), "reuse.msa[1], layers has shape [3], expected [2]"),
        ("/reuse/mlp", json!(["..", ".."]), "reuse.mlp, rows has shape [2], expected [4]"),
        ("/reuse/mlp/3", json!(7), "reuse.mlp[3]"),
        ("/sites/0/layers", json!(-1), "sites[0].layers"),
        ("/sites/0/layers", json!(4_000_000_000_u32), "at most"),
        ("/sites/0/kinds/1", json!("two words"), "sites[0].kinds[1]"),
        ("/rules/gate", json!({"extrapolate": 3}), "rules.gate is order 3, expected 1 or 2"),
    ];
    for (path, value, expected) in cases {
        let message = json_error(|object| *object.pointer_mut(path).unwrap() = value);
        assert!(message.starts_with("p.json: ") && message.contains(expected), "{path}: {message}");
    }
    let message = json_error(|value| value["rules"]["modules"]["msa"] = json!({"extrapolate": 0}));
    assert!(message.contains("p.json: rules.modules.msa is order 0"), "{message}");
    let message = json_error(|value| value["rules"]["times"] = json!([1.0, 2.0]));
    assert!(message.contains("p.json: times [steps] has shape [2], expected [4]"), "{message}");
    let message = json_error(|value| value["reuse"]["ff"] = json!([]));
    assert!(message.contains("kind 'ff' has no sites"), "{message}");
    let message = json_error(|value| drop(value["reuse"].as_object_mut().unwrap().remove("mlp")));
    assert!(message.contains("missing key 'mlp'"), "{message}");
    let message = json_error(|value| {
        value["sites"][0]["kinds"] = json!(["msa", "msa"]);
        value["reuse"] = json!({"msa": ["....", "....", "....", "...."]});
    });
    assert!(message.contains("p.json") && message.contains("msa[0] stands twice"), "{message}");
    let text = small().to_json().unwrap();
    let twice = text.replacen("\"gate\"", "\"gate\": \"....\", \"gate\"", 1);
    let message = CachePlan::from_json(&twice, "p.json").unwrap_err().to_string();
    assert!(message.contains("duplicate field `gate`"), "{message}");
    let message = CachePlan::from_json(&(text + "{}"), "p.json").unwrap_err().to_string();
    assert!(message.contains("trailing characters"), "{message}");
}

#[test]
fn damaged_bytes_are_named() {
    let bytes = small().to_bytes().unwrap();
    let message = |bytes: &[u8]| CachePlan::from_bytes(bytes, "p.bin").unwrap_err().to_string();
    let changed = |place: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        message(&bytes)
    };
    assert_eq!(message(b"PNG"), "p.bin: it does not start with 'INVPLAN'");
    assert_eq!(message(b"INVPLAN"), "p.bin: the file ends before its version");
    assert_eq!(changed(7, 9), "p.bin: version 9 is unknown; this program reads 1 and 2");
    assert_eq!(message(&bytes[..bytes.len() - 1]), "p.bin: the file is cut short");
    assert_eq!(message(&[&bytes[..], b"??"].concat()), "p.bin: 2 bytes follow the end");
    assert!(changed(8, 17).contains("p.bin: gate [steps], bytes has shape [1], expected [3]"));
    assert_eq!(message(&vec![0; FILE_LIMIT + 1]), format!("p.bin: larger than {FILE_LIMIT} bytes"));
    // A length of 2^60 in front of a list: refused before anything is allocated.
    let huge = [b"INVPLAN\x01".as_slice(), &[4, 253], &(1_u64 << 60).to_le_bytes()].concat();
    assert!(message(&huge).starts_with("p.bin: "));
    let gate = bytes[9..].windows(2).position(|pair| pair == [1, 0b0100]).unwrap() + 9;
    assert_eq!(changed(gate + 1, 0b1_0100), "p.bin: gate [steps]: bits are set after the last entry");
}

#[test]
fn files_are_written_whole_and_read_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let plan = small();
    for name in ["plan.json", "plan.bin"] {
        let path = folder.path().join(name);
        plan.write(&path).unwrap();
        plan.write(&path).unwrap();
        assert_eq!(CachePlan::read(&path).unwrap(), plan);
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // The extension says nothing to the reader.
    let other = folder.path().join("plan.txt");
    fs::copy(folder.path().join("plan.bin"), &other).unwrap();
    assert_eq!(CachePlan::read(&other).unwrap(), plan);
    assert!(plan.write(&other).unwrap_err().to_string().contains("written as .json or .bin"));
    let nowhere = folder.path().join("no/such/plan.json");
    assert!(matches!(plan.write(&nowhere), Err(PlanError::Io { .. })));
    let message = CachePlan::read(&nowhere).unwrap_err().to_string();
    assert!(message.contains("plan.json"), "{message}");
    assert!(matches!(plan.write(folder.path().join("plan.bin/x.json")), Err(PlanError::Io { .. })));
}

#[test]
fn large_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        CachePlan::read(&path).unwrap_err().to_string()
    };
    let large = message("large.json", &vec![b' '; FILE_LIMIT + 1]);
    assert!(large.contains("large.json: larger than"), "{large}");
    let foreign = [
        ("empty", &b""[..]),
        ("text", b"hello"),
        ("png", b"\x89PNG\r\n"),
        ("list", b"[null]"),
        ("manifest.json", br#"{"kind": "dit", "steps": [1, 0]}"#),
    ];
    for (name, bytes) in foreign {
        let message = message(name, bytes);
        assert!(message.contains(&format!("{name}: no plan")), "{message}");
    }
    // What does not say its layers needs a model.
    for (name, bytes) in [("mask", &b"1,0,0,1"[..]), ("smooth.json", br#"{"attn":[1,0],"mlp":[1,1]}"#)] {
        let message = message(name, bytes);
        assert!(message.contains("name the model"), "{message}");
        let topology = Topology::named("dit-s-2-256").unwrap();
        let plan = PlanFile::read(folder.path().join(name)).unwrap().plan(Some(&topology)).unwrap();
        assert_eq!(plan.sites().len(), 24);
    }
}

#[test]
fn what_json_cannot_hold_is_refused_before_it_is_written() {
    let mut plan = small();
    plan.provenance.thresholds = vec![Threshold { kind: Site::TRUNK.kind, quantile: 0.5, value: f32::NAN }];
    let message = plan.to_json().unwrap_err().to_string();
    assert!(message.contains("thresholds.value is NaN"), "{message}");
    let read = CachePlan::from_bytes(&plan.to_bytes().unwrap(), "t").unwrap();
    assert!(read.provenance.thresholds[0].value.is_nan());
}

#[test]
fn a_book_cannot_hold_more_than_the_authors_rule() {
    let topology = Topology::named("dit-s-2-256").unwrap();
    let plan = CachePlan::gate_only(&topology, vec![false, false, true])
        .with_gate_rule(invardiff_plan::GateSite::Trunk, ReuseRule::Extrapolate(1));
    let layout = invardiff_plan::formats::BookLayout::Dit;
    let message = AuthorBook::from_plan(&plan, layout, BookVersion::V1).unwrap_err().to_string();
    assert!(message.contains("a DiT book: it can only say that values are held"), "{message}");
}

#[test]
fn a_plan_that_could_not_be_read_back_is_not_written() {
    let mut plan = small();
    plan.provenance.notes = vec!["x".repeat(FILE_LIMIT)];
    for message in [plan.to_json().unwrap_err().to_string(), plan.to_bytes().unwrap_err().to_string()] {
        assert!(message.contains("more than the 8388608 bytes"), "{message}");
    }
}
