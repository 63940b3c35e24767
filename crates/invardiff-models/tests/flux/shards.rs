//! Weights in several files under an index.

use std::collections::BTreeMap;
use std::path::Path;

use invardiff_models::{Flux, LoadError, Loaded};
use tempfile::TempDir;

use crate::fixture::{Dump, Stored, bits, device};
use crate::tiny::{CANVAS, FILES, dump, folder, model, output};

const INDEX: &str = "diffusion_pytorch_model.safetensors.index.json";

fn shard(number: usize) -> String {
    format!("diffusion_pytorch_model-0000{number}-of-00003.safetensors")
}

/// The tiny model in three shards.
fn sharded() -> TempDir {
    let out = tempfile::tempdir().unwrap();
    std::fs::copy(folder().join("config.json"), out.path().join("config.json")).unwrap();
    let whole = Dump::open(&folder().join(FILES[0]));
    let mut shards = [(); 3].map(|()| Dump(BTreeMap::new()));
    let mut map = BTreeMap::new();
    for (i, (key, stored)) in whole.0.into_iter().enumerate() {
        map.insert(key.clone(), shard(i % 3 + 1));
        shards[i % 3].0.insert(key, stored);
    }
    for (number, dump) in (1..).zip(&shards) {
        dump.write(&out.path().join(shard(number)));
    }
    write_index(out.path(), &map);
    out
}

fn write_index(folder: &Path, map: &BTreeMap<String, String>) {
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    std::fs::write(folder.join(INDEX), index.to_string()).unwrap();
}

fn change_index(folder: &Path, change: impl FnOnce(&mut BTreeMap<String, String>)) {
    let text = std::fs::read_to_string(folder.join(INDEX)).unwrap();
    let index: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut map: BTreeMap<String, String> = serde_json::from_value(index["weight_map"].clone()).unwrap();
    change(&mut map);
    write_index(folder, &map);
}

fn load(folder: &Path) -> Result<Loaded<Flux>, LoadError> {
    Flux::load(folder, &device())
}

fn refusal(folder: &Path) -> String {
    load(folder).unwrap_err().to_string()
}

#[test]
fn shards_are_the_whole() {
    let (folder, dump) = (sharded(), dump());
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.file, Some(folder.path().join(INDEX)));
    assert_eq!((loaded.sha256.len(), loaded.section), (64, None));
    let out = output(&loaded.model.with_canvas(CANVAS), &dump);
    assert_eq!(bits(out), bits(output(&model(FILES[0]), &dump)));

    let again = Flux::load(folder.path().join(INDEX), &device()).unwrap();
    assert_eq!(again.sha256, loaded.sha256);
    let mut first = Dump::open(&folder.path().join(shard(1)));
    first.0.values_mut().next().unwrap().bytes[3] ^= 1;
    first.write(&folder.path().join(shard(1)));
    assert_ne!(load(folder.path()).unwrap().sha256, loaded.sha256, "the hash is the content's");
}

#[test]
fn a_missing_shard_is_named() {
    let folder = sharded();
    let held = Dump::open(&folder.path().join(shard(2))).0.len();
    std::fs::remove_file(folder.path().join(shard(2))).unwrap();
    let message = refusal(folder.path());
    assert!(message.contains(&format!("{}: the shard is missing", shard(2))), "{message}");
    assert!(message.contains(&format!("{INDEX} expects {held} tensors in it")), "{message}");
}

#[test]
fn a_truncated_shard_is_named() {
    let folder = sharded();
    let path = folder.path().join(shard(3));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let message = refusal(folder.path());
    assert!(message.contains(&format!("{}: no whole safetensors file", shard(3))), "{message}");
}

/// Every disagreement is in one error.
#[test]
fn index_and_shards_must_agree() {
    let folder = sharded();
    let (mut moved, mut forgotten) = (String::new(), String::new());
    change_index(folder.path(), |map| {
        let mut first = map.iter().filter(|(_, name)| **name == shard(1)).map(|(key, _)| key.clone());
        (moved, forgotten) = (first.next().unwrap(), first.next().unwrap());
        map.insert(moved.clone(), shard(2));
        map.remove(&forgotten);
        map.insert("nowhere.weight".into(), shard(3));
    });
    let message = refusal(folder.path());
    assert!(message.contains("index and shards do not agree\n"), "{message}");
    for line in [
        format!("\n  '{moved}' is in {}, the index has it in {}\n", shard(1), shard(2)),
        format!("\n  '{forgotten}' is in {}, the index does not know it\n", shard(1)),
        format!("\n  '{moved}' is not in {}, where the index has it", shard(2)),
        format!("\n  'nowhere.weight' is not in {}, where the index has it", shard(3)),
    ] {
        assert!(message.contains(&line), "{line:?} is not in\n{message}");
    }
}

/// Keys are strict over all shards together.
#[test]
fn a_key_too_many() {
    let folder = sharded();
    let path = folder.path().join(shard(1));
    let mut dump = Dump::open(&path);
    dump.0.insert("extra.weight".into(), Stored::zeros(&[3]));
    dump.write(&path);
    change_index(folder.path(), |map| {
        map.insert("extra.weight".into(), shard(1));
    });
    let message = refusal(folder.path());
    assert!(message.contains(INDEX), "{message}");
    assert!(
        message.ends_with("the weights do not fit flux-2+3x48\n  unused: extra.weight, found [3]"),
        "{message}"
    );
}

#[test]
fn an_index_that_is_none() {
    let folder = sharded();
    for (text, says) in [
        ("{", "no index of shards: EOF"),
        ("{}", "no index of shards: missing field `weight_map`"),
        (
            r#"{"weight_map": {"a": "../elsewhere.safetensors"}}"#,
            "'../elsewhere.safetensors' is no file name",
        ),
        (r#"{"weight_map": {"a": "/elsewhere.safetensors"}}"#, "'/elsewhere.safetensors' is no file name"),
        (r#"{"weight_map": {"a": ""}}"#, "'' is no file name of a shard beside the index"),
        (r#"{"weight_map": {}}"#, "no FLUX: it has neither"),
    ] {
        std::fs::write(folder.path().join(INDEX), text).unwrap();
        let message = refusal(folder.path());
        assert!(message.contains(INDEX) && message.contains(says), "{message}");
    }
}
