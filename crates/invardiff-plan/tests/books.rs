//! The authors' books: every layout and version, and what is wrong with broken ones.

use invardiff_plan::core::{Calibration, Threshold};
use invardiff_plan::formats::{AuthorBook, BookLayout, BookVersion, PlanFile};
use invardiff_plan::{CachePlan, Kind, Provenance, Site, Topology};
use ndarray::{Array2, array};
use serde_json::{Value, json};

fn dit() -> Value {
    json!({
        "step_cache_book": [false, false, true, false],
        "msa_cache_book": [[false, false], [true, false], [true, true], [false, false]],
        "mlp_cache_book": [[false, false], [false, false], [true, true], [false, false]],
    })
}

fn flux() -> Value {
    let double = |middle: [bool; 2]| json!([[false, false], middle, [false, false]]);
    json!({
        "step_cache_book": [false, false, false],
        "transformer_cache_book": {
            "attn": double([true, true]), "context_attn": double([true, false]), "ff": double([false, true]),
            "context_ff": double([false, false]), "ip_attn": double([true, true]),
        },
        "single_transformer_cache_book": {
            "attn": [[false], [true], [false]], "mlp": [[false], [false], [false]],
        },
    })
}

fn wan() -> Value {
    json!({
        "step_cache_bool": [false, true, false],
        "module_cache_book": {
            "self_attn": [[false], [true], [false]], "cross_attn": [[false], [true], [false]],
            "ffn": [[false], [true], [false]],
        },
    })
}

fn read(value: &Value) -> AuthorBook {
    AuthorBook::from_json(&value.to_string(), "book.json").unwrap()
}

fn written(book: &AuthorBook) -> Value {
    serde_json::from_str(&book.to_json()).unwrap()
}

/// The message for a book changed by `edit`.
fn error(mut book: Value, edit: impl FnOnce(&mut Value)) -> String {
    edit(&mut book);
    let message = AuthorBook::from_json(&book.to_string(), "book.json").unwrap_err().to_string();
    assert!(message.starts_with("book.json"), "{message}");
    message
}

#[test]
fn flux_reuses_joint_attention_only_where_both_streams_agree() {
    let book = read(&flux());
    let plan = book.plan(&book.topology()).unwrap();
    assert_eq!(plan.of_kind(Kind::ATTN).row(1).to_vec(), [true, false]);
    assert_eq!(plan.of_kind(Kind::FF).row(1).to_vec(), [false, true]);
    assert_eq!(plan.of_kind(Kind::SINGLE_ATTN).row(1).to_vec(), [true]);
    let names: Vec<String> = plan.sites().iter().map(ToString::to_string).collect();
    let expected = [
        "attn[0]",
        "ff[0]",
        "context_ff[0]",
        "attn[1]",
        "ff[1]",
        "context_ff[1]",
        "single_attn[0]",
        "single_mlp[0]",
    ];
    assert_eq!(names, expected);
    let streams: Vec<&str> = book.streams().iter().map(|(kind, _)| kind.as_str()).collect();
    let expected = ["attn", "context_attn", "ip_attn", "ff", "context_ff", "single_attn", "single_mlp"];
    assert_eq!(streams, expected);
    // What the plan says is written for both streams and for the alias.
    let back = written(&AuthorBook::from_plan(&plan, BookLayout::Flux, BookVersion::V1).unwrap());
    for key in ["attn", "context_attn", "ip_attn"] {
        assert_eq!(back["transformer_cache_book"][key][1], json!([true, false]), "{key}");
    }
}

#[test]
fn an_ip_attn_of_its_own_is_kept_and_noted() {
    let mut value = flux();
    value["transformer_cache_book"]["ip_attn"][1] = json!([false, false]);
    let book = read(&value);
    assert_eq!(written(&book), value);
    let notes = book.plan(&book.topology()).unwrap().provenance.notes;
    assert!(notes.iter().any(|note| note.contains("ip_attn")), "{notes:?}");
    value["transformer_cache_book"].as_object_mut().unwrap().remove("ip_attn");
    assert_eq!(written(&read(&value)), value);
}

#[test]
fn wan_is_read_under_both_keys_of_its_gate() {
    let book = read(&wan());
    assert_eq!(
        (book.layout(), book.version(), book.gate()),
        (BookLayout::Wan, BookVersion::V1, &[false, true, false][..])
    );
    assert_eq!(written(&book), wan());
    let kinds: Vec<&str> = book.streams().iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["self_attn", "cross_attn", "ffn"]);
    let mut other = wan();
    let gate = other.as_object_mut().unwrap().remove("step_cache_bool").unwrap();
    other["step_cache_book"] = gate;
    assert_eq!(read(&other), book);
    let both = error(other, |book| book["step_cache_bool"] = json!([false, true, false]));
    assert!(both.contains("both keys"), "{both}");
}

#[test]
fn version_2_keeps_its_metadata() {
    let mut value = dit();
    let metadata = json!({
        "cache_version": 2, "cache_scope": "step_layer", "rate_method": "relative_l1", "cache_preset": "default",
        "config": {"policy": "stplayer", "steps": 4, "nonskip": 0.04, "step": 0.55, "msa": 0.5, "mlp": 0.15},
        "resolved_thresholds": {"step_thres": 0.55, "msa_thres": 0.5, "mlp_thres": 0.15},
        "calibration_count": 1, "calibration_classes": [207],
    });
    value.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    let book = read(&value);
    assert_eq!(book.version(), BookVersion::V2);
    assert_eq!(written(&book), value);
    let provenance = book.plan(&book.topology()).unwrap().provenance;
    assert_eq!(provenance.calibration.unwrap().conditions, ["207"]);
    assert!(
        provenance.notes.iter().any(|note| note == "rate_method: \"relative_l1\""),
        "{:?}",
        provenance.notes
    );
    let message = error(value.clone(), |book| book["cache_version"] = json!(3));
    assert!(message.contains("cache_version 3 is unknown"), "{message}");
    let message = error(value, |book| book["config"]["steps"] = json!(50));
    assert!(message.contains("config.steps is 50, but the step gate has 4"), "{message}");
}

#[test]
fn version_2_is_written_from_what_a_plan_knows() {
    let topology = read(&dit()).topology();
    let threshold = |kind, quantile| Threshold { kind, quantile, value: 1.0 };
    let provenance = Provenance {
        method: "invardiff-dit".into(),
        thresholds: vec![threshold(Kind::TRUNK, 0.55), threshold(Kind::MSA, 0.5)],
        warm_up: Some(2),
        calibration: Some(Calibration { conditions: vec!["207".into()], ..Calibration::default() }),
        ..Provenance::default()
    };
    let plan = read(&dit()).plan(&topology).unwrap().with_provenance(provenance);
    let value = written(&AuthorBook::from_plan(&plan, BookLayout::Dit, BookVersion::V2).unwrap());
    let expected = json!({
        "cache_version": 2, "cache_scope": "step_layer", "rate_method": "relative_l1",
        "config": {"policy": "stplayer", "steps": 4, "nonskip": 0.5, "step": 0.55, "msa": 0.5},
        "resolved_thresholds": {"step_thres": 0.55, "msa_thres": 0.5},
        "calibration_count": 1, "calibration_classes": [207],
        "step_cache_book": dit()["step_cache_book"], "msa_cache_book": dit()["msa_cache_book"],
        "mlp_cache_book": dit()["mlp_cache_book"],
    });
    assert_eq!(value, expected);
}

#[test]
fn hybrid_books_carry_the_steps_of_another_method() {
    let value = json!({
        "cache_version": 2, "cache_scope": "hybrid", "step_policy": "magcache",
        "step_policy_artifacts": {"mag_ratios": [1.0, 1.17, 1.1], "step_cache_book": [false, false, true]},
        "layer_cache_book": {
            "double.attn": [[false], [true], [true]], "double.context_attn": [[false], [false], [true]],
            "single.mlp": [[false, false], [false, true], [true, true]],
        },
    });
    let book = read(&value);
    assert_eq!(written(&book), value);
    let plan = book.plan(&book.topology()).unwrap();
    assert_eq!(plan.gate(), [false, false, true]);
    assert_eq!(plan.of_kind(Kind::ATTN), array![[false], [false], [true]]);
    assert_eq!(plan.of_kind(Kind::SINGLE_MLP).row(1).to_vec(), [false, true]);
    let message =
        error(value.clone(), |book| drop(book.as_object_mut().unwrap().remove("step_policy_artifacts")));
    assert!(
        message.contains("step_policy_artifacts.step_cache_book")
            && message.contains("decides while sampling")
    );
    let message = error(value, |book| {
        let other = book["layer_cache_book"]["double.attn"].clone();
        book["layer_cache_book"]["attn"] = other;
    });
    assert!(message.contains("kind 'attn' stands twice"), "{message}");
}

#[test]
fn every_defect_is_named_by_file_and_key() {
    let remove = |key: &'static str| move |book: &mut Value| drop(book.as_object_mut().unwrap().remove(key));
    for key in ["step_cache_book", "msa_cache_book", "mlp_cache_book"] {
        let message = error(dit(), remove(key));
        assert!(message.contains(&format!("missing key '{key}'")), "{message}");
    }
    let message = error(flux(), remove("single_transformer_cache_book"));
    assert!(message.contains("missing key 'single_transformer_cache_book'"), "{message}");
    let message = error(flux(), |book| {
        book["transformer_cache_book"].as_object_mut().unwrap().remove("context_ff");
    });
    assert!(message.contains("missing key 'transformer_cache_book.context_ff'"), "{message}");
    let set =
        |path: &'static str, value: Value| move |book: &mut Value| *book.pointer_mut(path).unwrap() = value;
    let cases = [
        (dit(), "/msa_cache_book/1/0", json!(1), "msa_cache_book[1][0] is not true or false"),
        (dit(), "/msa_cache_book/1", json!([true]), "msa_cache_book[1] has shape [1], expected [2]"),
        (dit(), "/mlp_cache_book/2", json!(null), "mlp_cache_book[2]' is not an array"),
        (
            dit(),
            "/mlp_cache_book",
            json!([[true, true]]),
            "mlp [steps, layers] has shape [1, 2], expected [4, 2]",
        ),
        (dit(), "/step_cache_book", json!([]), "0 steps are too few"),
        (dit(), "/step_cache_book/3", json!("false"), "step_cache_book[3] is not true or false"),
        (flux(), "/transformer_cache_book", json!([]), "'transformer_cache_book' is not an object"),
        (wan(), "/module_cache_book", json!(0), "'module_cache_book' is not an object"),
    ];
    for (book, path, value, expected) in cases {
        let message = error(book, set(path, value));
        assert!(message.contains(expected), "{path}: {message}");
    }
    let message = error(dit(), |book| book["stray"] = json!(1));
    assert!(message.contains("unknown key 'stray'"), "{message}");
    let message = error(flux(), |book| book["single_transformer_cache_book"]["ff"] = json!([]));
    assert!(message.contains("unknown key 'single_transformer_cache_book.ff'"), "{message}");
    let message = error(wan(), |book| book["module_cache_book"]["two words"] = json!([]));
    assert!(message.contains("two words"), "{message}");
    let message = error(dit(), |book| book["module_cache_book"] = json!({}));
    assert!(message.contains("two layouts, DiT and Wan"), "{message}");
    let message = error(json!({"step_cache_book": [true]}), |_| {});
    assert!(message.contains("no book of modules"), "{message}");
    let cut = dit().to_string();
    let message = AuthorBook::from_json(&cut[..cut.len() - 5], "book.json").unwrap_err().to_string();
    assert!(message.contains("book.json: not a JSON object: EOF"), "{message}");
    // Recognised as a book by the general reader too, with the same message.
    let mut broken = dit();
    broken["cache_version"] = json!(9);
    let message = PlanFile::parse(broken.to_string().as_bytes(), "book.json").unwrap_err().to_string();
    assert!(message.contains("cache_version 9"), "{message}");
}

#[test]
fn a_book_is_laid_only_over_a_model_that_fits() {
    let xl = Topology::named("dit-xl-2-256").unwrap();
    let message = read(&dit()).plan(&xl).unwrap_err().to_string();
    assert!(message.contains("msa [steps, layers] has shape [4, 2], expected [4, 28]"), "{message}");
    let message = read(&flux()).plan(&xl).unwrap_err().to_string();
    assert!(message.contains("'attn', which dit-xl-2-256 does not have"), "{message}");
    let message = read(&dit()).plan(&Topology { sites: Vec::new(), ..xl }).unwrap_err().to_string();
    assert!(message.contains("'msa'"), "{message}");
}

#[test]
fn a_plan_is_written_only_in_a_layout_that_fits() {
    let plan = |sites: Vec<Site>| {
        let reuse = Array2::from_elem((2, sites.len()), false);
        CachePlan::new(sites, vec![false, true], reuse).unwrap()
    };
    let message = |sites: Vec<Site>, layout| {
        AuthorBook::from_plan(&plan(sites), layout, BookVersion::V1).unwrap_err().to_string()
    };
    assert!(message(vec![Site::msa(0)], BookLayout::Dit).contains("'mlp' is missing from a DiT book"));
    assert!(
        message(vec![Site::msa(0), Site::mlp(0)], BookLayout::Flux).contains("is missing from a FLUX book")
    );
    let own = Site::new(Kind::new("own"), 0);
    let known = message(vec![Site::msa(0), Site::mlp(0), own], BookLayout::Dit);
    assert!(known.contains("'own'") && known.contains("msa, mlp"), "{known}");
    assert!(message(vec![Site::msa(1), Site::mlp(0)], BookLayout::Dit).contains("msa[0] is missing"));
    assert!(message(vec![own], BookLayout::Hybrid).contains("cache_version 2"));
    assert!(AuthorBook::from_plan(&plan(vec![own]), BookLayout::Wan, BookVersion::V2).is_ok());
}
