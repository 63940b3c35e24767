//! Folders as the transformers library writes them, and as older versions of it did.

use std::collections::BTreeMap;

use invardiff_models::{ClipText, LoadError, T5Encoder};
use safetensors::Dtype;

use crate::fixture::{Dump, Stored, bits, device};
use crate::tiny::{clip, file, ids, io, read, t5, write_folder};

#[test]
fn t5_in_shards_is_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("text_encoder_2");
    std::fs::create_dir(&below).unwrap();
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut shards = [(); 2].map(|()| Dump(BTreeMap::new()));
    let mut map = BTreeMap::new();
    for (i, (key, stored)) in Dump::open(&file("t5.safetensors")).0.into_iter().enumerate() {
        map.insert(key.clone(), names[i % 2]);
        shards[i % 2].0.insert(key, stored);
    }
    for (name, shard) in names.iter().zip(&shards) {
        shard.write(&below.join(name));
    }
    std::fs::write(below.join("config.json"), read("t5_config.json")).unwrap();
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    std::fs::write(below.join("model.safetensors.index.json"), index.to_string()).unwrap();
    let expected = bits(t5().forward(ids(&io(), "t5.ids")));
    for path in [folder.path().to_owned(), below.clone(), below.join("model.safetensors.index.json")] {
        let t5 = T5Encoder::load(path, &device()).unwrap();
        assert_eq!(bits(t5.forward(ids(&io(), "t5.ids"))), expected);
    }
    std::fs::remove_file(below.join(names[1])).unwrap();
    let message = T5Encoder::load(&below, &device()).unwrap_err().to_string();
    assert!(message.contains("model-00002-of-00002.safetensors: the shard is missing"), "{message}");
}

/// One table of tokens under either name, or under both if they are equal.
#[test]
fn t5_has_two_names_for_its_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let (config, whole) = (read("t5_config.json"), Dump::open(&file("t5.safetensors")));
    let load = |dump: &Dump| {
        write_folder(folder.path(), &config, "model.safetensors", dump);
        T5Encoder::load(folder.path(), &device())
    };
    let expected = bits(t5().forward(ids(&io(), "t5.ids")));
    let (mut both, mut other) = (whole.clone(), whole.clone());
    both.0.insert("encoder.embed_tokens.weight".into(), whole.0["shared.weight"].clone());
    let table = other.0.remove("shared.weight").unwrap();
    other.0.insert("encoder.embed_tokens.weight".into(), table);
    for dump in [&both, &other] {
        assert_eq!(bits(load(dump).unwrap().forward(ids(&io(), "t5.ids"))), expected);
    }
    both.0.get_mut("shared.weight").unwrap().bytes[0] ^= 1;
    let error = load(&both).unwrap_err();
    assert!(
        matches!(&error, LoadError::Copies { key, .. } if key == "encoder.embed_tokens.weight"),
        "{error}"
    );
    other.0.remove("encoder.embed_tokens.weight").unwrap();
    let message = load(&other).unwrap_err().to_string();
    assert!(
        message.ends_with("do not fit t5-3x32\n  missing: shared.weight, expected [99, 32]"),
        "{message}"
    );
}

/// With and without `text_model.`, with the position numbers of older files and with a projection.
#[test]
fn clip_keeps_its_weights_under_several_names() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("text_encoder");
    std::fs::create_dir(&below).unwrap();
    let (config, whole) = (read("clip_config.json"), Dump::open(&file("clip.safetensors")));
    let numbers: Vec<u8> = (0..24i64).flat_map(i64::to_le_bytes).collect();
    let numbers = Stored { dtype: Dtype::I64, shape: vec![1, 24], bytes: numbers };
    let mut older = whole.clone();
    older.0.insert("text_model.embeddings.position_ids".into(), numbers.clone());
    older.0.insert("text_projection.weight".into(), Stored::zeros(&[32, 32]));
    let bare = whole.0.iter().map(|(key, stored)| (key.replacen("text_model.", "", 1), stored.clone()));
    let mut bare = Dump(bare.collect());
    bare.0.insert("embeddings.position_ids".into(), numbers);
    let expected = bits(clip().forward(ids(&io(), "clip.ids")).pooled);
    for dump in [&whole, &older, &bare] {
        write_folder(&below, &config, "model.safetensors", dump);
        for path in [folder.path(), &below, &below.join("model.safetensors")] {
            let clip = ClipText::load(path, &device()).unwrap();
            assert_eq!(bits(clip.forward(ids(&io(), "clip.ids")).pooled), expected);
        }
    }
}
