//! What is wrong with a folder is said, counted as a failure, and does not keep others from being checked.

use std::path::Path;

use crate::copy::{Copy, failures, parity, shipped};

fn dit() -> Copy {
    Copy::of(&shipped("invardiff-models", "dit_tiny"))
}

#[test]
fn an_unknown_kind_is_named_and_the_next_folder_is_checked() {
    let copy = dit();
    copy.manifest(|manifest| manifest["kind"] = "autoencoder".into());
    let good = shipped("invardiff-plan", "quantile");
    let (lines, code) = parity(&[copy.path(), &good]);
    assert_eq!(code, 1);
    let [(check, note)] = failures(&lines).try_into().unwrap();
    assert_eq!(check, "kind");
    assert!(
        note.starts_with("kind 'autoencoder' is not one that this version checks (it checks dit, dit_cal"),
        "{note}"
    );
    assert!(lines.iter().filter(|line| line["passed"] == true).count() > 20);
}

#[test]
fn a_wrong_value_fails_its_own_check_alone() {
    for (file, key, check) in [
        ("forward.safetensors", "out", "forward out"),
        ("forward.safetensors", "temb.sinusoid", "temb.sinusoid"),
        ("forward.safetensors", "block2.hidden", "block2.hidden"),
        ("forward.safetensors", "cfg.out", "cfg.out"),
        ("ddim.safetensors", "latents", "latents"),
        ("ddim.safetensors", "pred_x0", "pred_x0"),
        ("ddim.safetensors", "latents_cfg", "latents_cfg"),
    ] {
        let copy = dit();
        copy.arrays(file, |arrays| {
            arrays.value(key, 3, |value| value + 0.05);
            arrays.retain(|key| key != "out_float64");
        });
        let failures = copy.failures();
        let names: Vec<&str> = failures.iter().map(|(name, _)| name.as_str()).collect();
        // The weights' second file is held to the same output.
        let expected = if key == "out" { vec![check, "forward out, weights.pt"] } else { vec![check] };
        assert_eq!(names, expected);
    }
}

#[test]
fn a_value_that_is_no_number_fails() {
    let copy = dit();
    copy.arrays("ddim.safetensors", |arrays| arrays.value("latents", 0, |_| f32::NAN));
    copy.fails("latents");
}

#[test]
fn a_wrong_weight_shows_from_its_module_on() {
    let copy = dit();
    copy.arrays("weights.safetensors", |arrays| {
        arrays.value("blocks.1.mlp.fc2.bias", 0, |value| value + 1.0);
    });
    let names: Vec<String> = copy.failures().into_iter().map(|(name, _)| name).collect();
    let modules: Vec<&String> =
        names.iter().filter(|name| name.ends_with("msa") || name.ends_with("mlp")).collect();
    assert_eq!(modules, ["block1.mlp"], "later modules go on with the stored values");
    assert!(names.contains(&"block1.hidden".into()) && names.contains(&"latents".into()), "{names:?}");
    assert!(
        !names.contains(&"block0.hidden".into()) && !names.contains(&"forward out, weights.pt".into()),
        "{names:?}"
    );
}

#[test]
fn what_is_missing_or_misshapen_is_named() {
    let copy = dit();
    copy.arrays("ddim.safetensors", |arrays| arrays.retain(|key| key != "z"));
    assert_eq!(copy.fails("folder"), "ddim.safetensors: 'z' is missing");

    let copy = dit();
    copy.arrays("forward.safetensors", |arrays| arrays.cut("block1.msa", 1, 16, 15));
    let note = copy.fails("block1.msa");
    assert_eq!(note, "forward.safetensors: 'block1.msa' has shape [2, 15, 64], expected [2, 16, 64]");

    let copy = dit();
    copy.manifest(|manifest| drop(manifest.as_object_mut().unwrap().remove("cfg_scale")));
    let notes = copy.failures();
    assert_eq!(notes.len(), 3, "the forward and both halves of the trajectory: {notes:?}");
    assert!(notes.iter().all(|(_, note)| note == "manifest.json: cfg_scale is missing"), "{notes:?}");

    let copy = dit();
    std::fs::remove_file(copy.path().join("forward.safetensors")).unwrap();
    std::fs::remove_file(copy.path().join("ddim.safetensors")).unwrap();
    assert_eq!(copy.fails("folder"), "it has nothing that could be compared");
}

#[test]
fn files_are_held_to_the_manifest_s_list() {
    let source = shipped("invardiff-models", "dit_tiny");
    let list = |copy: &Copy| {
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(source.join("manifest.json")).unwrap()).unwrap();
        copy.manifest(|copied| copied["files"] = manifest["files"].clone());
    };
    let check = "arrays as the manifest lists them";
    let copy = dit();
    list(&copy);
    assert_eq!(copy.failures(), []);
    copy.arrays("forward.safetensors", |arrays| arrays.retain(|key| key != "t_emb"));
    assert_eq!(copy.fails(check), "forward.safetensors: 't_emb' is missing");
    std::fs::remove_file(copy.path().join("forward.safetensors")).unwrap();
    let note = copy.fails(check);
    assert_eq!(note, "forward.safetensors is listed in manifest.json, but the folder does not have it");
}

#[test]
fn damaged_files_and_empty_folders_are_named() {
    let copy = dit();
    let path = copy.path().join("ddim.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let note = copy.fails("folder");
    assert!(note.starts_with("ddim.safetensors: no whole safetensors file"), "{note}");

    std::fs::write(copy.path().join("manifest.json"), "{").unwrap();
    let note = copy.fails("manifest");
    assert!(note.starts_with("manifest.json: EOF while parsing"), "{note}");

    let empty = tempfile::tempdir().unwrap();
    let absent = empty.path().join("absent");
    let (lines, code) = parity(&[empty.path(), &absent]);
    assert_eq!(code, 1);
    let [(_, nothing), (_, none)] = failures(&lines).try_into().unwrap();
    assert!(nothing.contains("neither the folder nor one below it has a manifest.json"), "{nothing}");
    assert_eq!(none, "there is no such folder");
}

#[test]
fn calibrations_fail_at_what_was_changed() {
    let source = shipped("invardiff-plan", "dit_calibration");
    let weights = shipped("invardiff-models", "dit_tiny");
    let check = |copy: &Copy| {
        let (lines, _) = parity(&[copy.path(), &weights]);
        failures(&lines).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let copy = Copy::of(&source);
    assert_eq!(check(&copy), Vec::<String>::new());
    copy.arrays("calibration.safetensors", |arrays| {
        arrays.value("s1.phase2.threshold_msa", 0, f32::next_up);
        arrays.value("s2.phase2.avg_mlp", 7, |rate| rate * 1.001);
        let (_, _, book) = arrays.0.get_mut("s4.provisional.msa").unwrap();
        book[9] ^= 1;
        arrays.value("s3.cached.latents_cfg", 50, |value| value + 1.0);
    });
    copy.manifest(|manifest| manifest["runs"][0]["steps_skipped"] = 10.into());
    assert_eq!(
        check(&copy),
        [
            "s0 gate and counts in the manifest",
            "s1 rule, from stored rates",
            "s2 phase 2 rates",
            "s4 provisional entries",
            "s4 rule, from stored rates",
            "s3.cached.latents_cfg",
        ]
    );

    let alone = copy.failures();
    let [(_, note)] = alone.as_slice() else { panic!("{alone:?}") };
    assert!(note.starts_with("the weights 'dit_tiny' are neither beside the folder nor among"), "{note}");
}

#[test]
fn a_book_file_is_held_to_the_books() {
    let copy = Copy::of(&shipped("invardiff-plan", "analyser_wan"));
    let path = copy.path().join("invardiff_book_s1.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("true", "false", 1)).unwrap();
    copy.fails("s1 book file");
    std::fs::write(&path, text.replacen("step_cache_bool", "step_cache_boil", 1)).unwrap();
    let note = copy.fails("s1 book file");
    assert!(note.contains("missing key 'step_cache_bool'"), "{note}");
}

#[test]
fn a_book_without_a_manifest_must_be_whole() {
    let source = shipped("invardiff-plan", "reference-plans/dit-xl-2-256");
    let name = "cache_books_stp50_n0.0_sth0.63_msa0.22_mlp0.22.json";
    let text = std::fs::read_to_string(source.join(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(name, &text);
    write("cache_books_stp20_n0.0_sth0.63_msa0.22_mlp0.22.json", &text);
    write("cache_books_broken.json", &text.replacen("msa_cache_book", "msa_book", 1));
    let (lines, code) = parity(&[Path::new(folder.path())]);
    assert_eq!(code, 1);
    let [(_, key), (_, steps)] = failures(&lines).try_into().unwrap();
    assert!(key.contains("missing key 'msa_cache_book'"), "{key}");
    assert_eq!(steps, "the name says 20 steps, the book has 50");
}
