//! Plans as other programs write them: files that people have reported, and each form that a text may have.

use std::path::{Path, PathBuf};

use invardiff_plan::formats::{MaskOnes, PlanFile};
use invardiff_plan::{CachePlan, Kind, Topology};

fn public(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/public").join(name)
}

fn topology() -> Topology {
    Topology::named("dit-s-2-256").unwrap()
}

fn plan(bytes: &[u8]) -> CachePlan {
    PlanFile::parse(bytes, "p").unwrap().plan(Some(&topology())).unwrap()
}

fn message(text: &str) -> String {
    PlanFile::parse(text.as_bytes(), "p").unwrap_err().to_string()
}

#[test]
fn reported_files_are_the_plan_that_they_mean() {
    let read = |name: &str| PlanFile::read(public(name)).unwrap().plan(Some(&topology())).unwrap();
    let masked = plan(b"1,0,1,0");
    assert_eq!(masked.gate(), [false, true, false, true]);
    for name in ["mask_lines.txt", "mask_trailing.txt"] {
        assert_eq!(read(name), masked, "{name}");
    }
    let layers = read("smoothcache_per_layer.json");
    let rows = |kind: Kind, layer| layers.of_kind(kind).column(layer).to_vec();
    for layer in 0..4 {
        assert_eq!(rows(Kind::MSA, layer), [false, true, false, false]);
        assert_eq!(rows(Kind::MLP, layer), [false, false, true, false]);
    }
    assert_eq!(layers.reused_modules(), 8);
    assert_eq!(read("smoothcache_diffusers.json"), plan(br#"{"attn": [1, 0, 1, 1]}"#));
}

#[test]
fn any_encoding_of_a_plan_is_the_same_plan() {
    let book = std::fs::read_dir(public("..").join("reference-plans/dit-xl-2-256")).unwrap();
    let book = std::fs::read_to_string(book.map(|entry| entry.unwrap().path()).next().unwrap()).unwrap();
    let own = CachePlan::gate_only(&topology(), vec![false, true]).to_json().unwrap();
    for text in [book.as_str(), &own, "1,0,1\r\n", r#"{"attn": [1, 0]}"#, "steps_computation_mask: [1, 0]\n"]
    {
        let plain = PlanFile::parse(text.as_bytes(), "p").unwrap();
        let marked = format!("\u{feff}{text}");
        let utf16 = |unit: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(unit).collect::<Vec<_>>();
        for bytes in [marked.clone().into_bytes(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
            assert_eq!(PlanFile::parse(&bytes, "p").unwrap(), plain, "{text}");
        }
    }
    let error = PlanFile::parse(b"1,0,\xe9", "p").unwrap_err().to_string();
    assert!(error.contains("neither UTF-8 nor UTF-16 (byte 4); save it as UTF-8"), "{error}");
}

#[test]
fn masks_in_json_and_yaml_are_masks() {
    let expected = plan(b"1,0,1,0");
    for text in [
        r#"{"mask": [1, 0, 1, 0]}"#,
        r#"{"steps_mask": [true, false, true, false]}"#,
        r#"{"cache_config": {"steps_computation_mask": [1, 0, 1, 0]}}"#,
        "cache_config:\n  Fn_compute_blocks: 1\n  steps_computation_mask: [1, 0, 1, 0]\n",
        "# made by hand\nsteps_computation_mask:\n- 1\n- 0\n- 1\n- 0\n",
    ] {
        assert_eq!(plan(text.as_bytes()), expected, "{text}");
    }
    let dynamic = message("cache_config:\n  Fn_compute_blocks: 1\n  residual_diff_threshold: 0.12\n");
    assert!(dynamic.contains("has no steps_computation_mask, so it decides while sampling"), "{dynamic}");
}

/// Whether 1 means computed or cached is not in the text: the reader is told, and a mask read the wrong way round is refused.
#[test]
fn the_meaning_of_a_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden.txt");
    std::fs::write(&path, "0010110\n").unwrap();
    let golden = PlanFile::read_mask(&path, MaskOnes::Cached).unwrap();
    assert_eq!(golden, PlanFile::parse(b"1,1,0,1,0,0,1", "p").unwrap());
    let error = PlanFile::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("a 1 was read as compute; if it means cached (as in Golden Path's strings)"),
        "{error}"
    );
    std::fs::write(&path, "1101\n").unwrap();
    let error = PlanFile::read_mask(&path, MaskOnes::Cached).unwrap_err().to_string();
    assert!(error.contains("a 1 was read as cached; if it means compute"), "{error}");
}

#[test]
fn what_is_no_plan_says_what_would_be_one() {
    assert!(message("hello").contains("a step mask (1,0,0,1) or a configuration of cache-dit"));
    assert!(message("").contains("no plan"));
    assert!(message("1,0,2").contains("entry 2 of the step mask is '2'"));
    // The indices of the computed steps.
    assert!(message("[0, 1, 10, 11]").contains("entry 2 of the step mask is '10'"));
    assert!(message(r#"{"mask": [1, "x"]}"#).contains("entry 1"));
}
