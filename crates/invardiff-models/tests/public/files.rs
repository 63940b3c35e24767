//! Names of files, and files that are no weights.

use invardiff_models::{ClipText, LoadOptions, T5Encoder};

use crate::fixture::{Dump, Stored, bits, data, device};
use crate::tiny::{Folder, drawn, floats, public, refusal};

#[test]
fn the_first_bytes_tell_what_is_no_weights() {
    let folder = Folder::new();
    let pointer = std::fs::read(public("model/lfs_pointer.safetensors")).unwrap();
    let page = b"<!DOCTYPE html><html>Access to model is restricted</html>".repeat(5);
    let zeros = vec![0; 4096];
    for (name, bytes, says) in [
        ("a.safetensors", &pointer[..], "a Git LFS pointer, not the weights of"),
        ("a.safetensors", &pointer[..], "run `git lfs pull`"),
        ("b.safetensors", &page[..], "a web page (HTML), not weights"),
        ("c.bin", &page[..], "a web page (HTML), not weights"),
        ("d.safetensors", b"{\"error\": \"Invalid credentials\"}", "a JSON text, not weights"),
        (
            "e.safetensors",
            b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.txt..",
            "a zip archive that begins with 'a.txt'",
        ),
        ("f.gguf", b"", "the file is empty"),
        ("g.safetensors", &zeros, "begins with zeros alone"),
        ("h.pt", b"\x1f\x8b\x08\x00abcdefgh", "a gzip archive"),
    ] {
        std::fs::write(folder.path(name), bytes).unwrap();
        let message = refusal(&folder.path(name));
        assert!(message.contains(says) && message.lines().count() == 1, "{name}: {message}");
    }
}

#[test]
fn files_have_variants_and_shards_without_an_index() {
    let base = floats(&public("model/flux1-dev-fp8.safetensors"));
    let expected = {
        let folder = Folder::new();
        bits(drawn(&folder.write("a.safetensors", &base), &LoadOptions::default()))
    };
    for name in [
        "diffusion_pytorch_model.fp16.safetensors",
        "model.bf16.safetensors",
        "flux1-dev-fp8.safetensors",
        "my-own-tune.safetensors",
    ] {
        let folder = Folder::new();
        folder.write(name, &base);
        assert_eq!(bits(drawn(folder.folder.path(), &LoadOptions::default())), expected, "{name}");
    }
    let folder = Folder::new();
    let mut shards = [(); 2].map(|()| Dump(std::collections::BTreeMap::new()));
    for (i, (key, stored)) in base.0.clone().into_iter().enumerate() {
        shards[i % 2].0.insert(key, stored);
    }
    for (number, shard) in (1..).zip(&shards) {
        folder.write(&format!("diffusion_pytorch_model-0000{number}-of-00002.safetensors"), shard);
    }
    assert_eq!(bits(drawn(folder.folder.path(), &LoadOptions::default())), expected);
    std::fs::remove_file(folder.path("diffusion_pytorch_model-00002-of-00002.safetensors")).unwrap();
    let message = refusal(folder.folder.path());
    assert!(
        message.contains("model-00002-of-00002.safetensors: the shard is missing, one of 2"),
        "{message}"
    );
}

/// Configurations and indices as Windows programs save them.
#[test]
fn texts_may_have_any_encoding() {
    let base = floats(&public("model/flux1-dev-fp8.safetensors"));
    let folder = Folder::new();
    let config = std::fs::read_to_string(folder.path("config.json")).unwrap();
    let names: serde_json::Map<String, serde_json::Value> =
        base.0.keys().map(|key| (key.clone(), "shard.safetensors".into())).collect();
    let index = serde_json::json!({"metadata": {}, "weight_map": names}).to_string();
    folder.write("shard.safetensors", &base);
    let expected = bits(drawn(&folder.path("shard.safetensors"), &LoadOptions::default()));
    let path = folder.path("model.safetensors.index.json");
    let little: fn(u16) -> [u8; 2] = u16::to_le_bytes;
    for unit in [None, Some(little), Some(u16::to_be_bytes)] {
        for (path, text) in [(folder.path("config.json"), &config), (path.clone(), &index)] {
            let text = format!("\u{feff}{text}\r\n");
            let bytes = match unit {
                None => text.into_bytes(),
                Some(unit) => text.encode_utf16().flat_map(unit).collect(),
            };
            std::fs::write(path, bytes).unwrap();
        }
        assert_eq!(bits(drawn(&path, &LoadOptions::default())), expected);
    }
}

#[test]
fn the_error_lists_what_the_folder_has() {
    let folder = Folder::new();
    let message = refusal(folder.folder.path());
    assert!(
        message.contains("the folder has none of model.safetensors, ")
            && message.contains("it has config.json")
    );
    let base = floats(&public("model/flux1-dev-fp8.safetensors"));
    folder.write("one.safetensors", &base);
    folder.write("two.safetensors", &base);
    let message = refusal(folder.folder.path());
    assert!(
        message.contains("several files of weights, name one: one.safetensors, two.safetensors"),
        "{message}"
    );
}

#[test]
fn keys_that_are_there_are_shown() {
    let folder = Folder::new();
    let path =
        folder.write("a.safetensors", &Dump([("strange.weight".to_owned(), Stored::zeros(&[2]))].into()));
    let message = refusal(&path);
    assert!(
        message.contains("no FLUX: it has neither")
            && message.contains("its 1 keys begin with 'strange.weight'")
    );
    let redux = Dump([("redux_up.weight".to_owned(), Stored::zeros(&[2]))].into());
    let message = refusal(&folder.write("b.safetensors", &redux));
    assert!(message.contains("it is FLUX.1 Redux, an adapter"), "{message}");
}

/// Models that read another image beside the noise (Canny, Depth) and are no models that fill in.
#[test]
fn control_models_are_told_by_their_sizes() {
    let folder = Folder::new();
    std::fs::remove_file(folder.path("config.json")).unwrap();
    let mut control = floats(&public("model/flux1-dev-fp8.safetensors"));
    control.0.insert("img_in.weight".into(), Stored::zeros(&[128, 128]));
    // Heads of the published width, so that no configuration is needed.
    for key in ["double_blocks.0.img_attn.norm.query_norm.scale", "single_blocks.0.norm.query_norm.scale"] {
        control.0.insert(key.into(), Stored::zeros(&[128]));
    }
    let message = refusal(&folder.write("flux1-canny-dev.safetensors", &control));
    assert!(
        message.contains("'in_channels' is 128, expected out_channels 64, or 384 for a model that fills in"),
        "{message}"
    );
    assert!(message.contains("FLUX.1-Canny and FLUX.1-Depth (control) are not supported"), "{message}");
}

/// Whole T5 models, with decoder and head.
#[test]
fn what_is_beside_the_encoder_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(data("text_tiny/t5_config.json"), folder.path().join("config.json")).unwrap();
    let mut dump = Dump::open(&data("text_tiny/t5.safetensors"));
    let path = folder.path().join("pytorch_model.fp16.safetensors");
    dump.write(&path);
    let expected = T5Encoder::load(folder.path(), &device()).unwrap();
    for (key, shape) in [
        ("decoder.block.0.layer.0.SelfAttention.q.weight", vec![40, 32]),
        ("decoder.final_layer_norm.weight", vec![32]),
        ("lm_head.weight", vec![99, 32]),
    ] {
        dump.0.insert(key.into(), Stored::zeros(&shape));
    }
    dump.write(&path);
    let found = T5Encoder::load(folder.path(), &device()).unwrap();
    let ids = found.ids(&[&[5, 9, 1]]).unwrap();
    assert_eq!(bits(found.forward(ids.clone())), bits(expected.forward(ids)));
}

/// A whole CLIP model: the sizes are nested in its configuration, partly in an older form, and beside the text model stand the image
/// model, projections and the scale of the logits.
#[test]
fn a_whole_clip_is_read_for_its_text_model() {
    let folder = tempfile::tempdir().unwrap();
    let write = |config: &serde_json::Value, dump: &Dump| {
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        dump.write(&folder.path().join("model.safetensors"));
        let model = ClipText::load(folder.path(), &device()).unwrap();
        let ids = model.ids(&[&[5, 9, 1]]).unwrap();
        (model.config().clone(), bits(model.forward(ids).hidden))
    };
    let config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(data("text_tiny/clip_config.json")).unwrap()).unwrap();
    let mut dump = Dump::open(&data("text_tiny/clip.safetensors"));
    let expected = write(&config, &dump);
    let plain: Vec<String> = dump.0.keys().cloned().collect();
    for key in plain.into_iter().filter(|key| !key.starts_with("text_model.")) {
        let stored = dump.0.remove(&key).unwrap();
        dump.0.insert(format!("text_model.{key}"), stored);
    }
    for (key, shape) in [
        ("vision_model.encoder.layers.0.self_attn.q_proj.weight", vec![8, 8]),
        ("vision_model.embeddings.class_embedding", vec![8]),
        ("visual_projection.weight", vec![4, 8]),
        ("text_projection.weight", vec![4, 8]),
        ("logit_scale", vec![]),
    ] {
        dump.0.insert(key.into(), Stored::zeros(&shape));
    }
    let mut first = config.clone();
    first["hidden_size"] = 3.into();
    let nested = serde_json::json!({"model_type": "clip", "projection_dim": 4, "text_config": config, "vision_config": {}});
    assert_eq!(write(&nested, &dump), expected);
    let older = serde_json::json!({"text_config": first, "text_config_dict": config, "vision_config": {}});
    assert_eq!(write(&older, &dump), expected);
}
