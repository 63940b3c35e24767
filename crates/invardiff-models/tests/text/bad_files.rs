//! Files that do not fit are refused with the file, the key and what is expected.

use invardiff_models::{ClipConfig, ClipText, LoadError, T5Config, T5Encoder};

use crate::fixture::{Dump, Stored, device};
use crate::tiny::{file, read, write_folder};

#[test]
fn all_keys_that_are_wrong_are_in_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut dump = Dump::open(&file("t5.safetensors"));
    dump.0.remove("encoder.final_layer_norm.weight").unwrap();
    dump.0.insert("encoder.block.1.layer.1.DenseReluDense.wi_1.weight".into(), Stored::zeros(&[32, 48]));
    dump.0.insert("encoder.extra.weight".into(), Stored::zeros(&[32]));
    write_folder(folder.path(), &read("t5_config.json"), "model.safetensors", &dump);
    let message = T5Encoder::load(folder.path(), &device()).unwrap_err().to_string();
    for line in [
        "model.safetensors: the weights do not fit t5-3x32\n",
        "\n  missing: encoder.final_layer_norm.weight, expected [32]",
        "\n  unused: encoder.extra.weight, found [32]",
        "\n  misshapen: encoder.block.1.layer.1.DenseReluDense.wi_1.weight, expected [48, 32], found [32, 48]",
    ] {
        assert!(message.contains(line), "{line:?} is not in\n{message}");
    }
}

#[test]
fn the_other_encoder_s_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, t5) = (Dump::open(&file("clip.safetensors")), Dump::open(&file("t5.safetensors")));
    write_folder(folder.path(), &read("clip_config.json"), "model.safetensors", &clip);
    let message = T5Encoder::load(folder.path(), &device()).unwrap_err().to_string();
    assert!(message.contains("no T5 encoder: these are the weights of a CLIP text model"), "{message}");
    write_folder(folder.path(), &read("clip_config.json"), "model.safetensors", &t5);
    let error = ClipText::load(folder.path(), &device()).unwrap_err();
    assert!(matches!(error, LoadError::Format { .. }));
    let says = "model.safetensors: no CLIP text model: these are the weights of a T5 encoder; it lacks 'encoder.layers.0.";
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn a_truncated_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), read("clip_config.json")).unwrap();
    let bytes = std::fs::read(file("clip.safetensors")).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), &bytes[..bytes.len() - 4]).unwrap();
    let message = ClipText::load(folder.path(), &device()).unwrap_err().to_string();
    assert!(message.contains("model.safetensors: no whole safetensors file"), "{message}");
}

#[test]
fn nothing_to_load_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let message = ClipText::load(folder.path(), &device()).unwrap_err().to_string();
    assert!(
        message
            .contains("the folder has none of model.safetensors, pytorch_model.safetensors (nor with .bin"),
        "{message}"
    );
    Dump::open(&file("t5.safetensors")).write(&folder.path().join("model.safetensors"));
    let message = T5Encoder::load(folder.path(), &device()).unwrap_err().to_string();
    assert!(
        message
            .contains("model.safetensors: the shapes of the weights do not tell all sizes of a T5 encoder")
            && message.ends_with("put a config.json beside the weights"),
        "{message}"
    );
}

/// The message of a configuration with one key changed or, with `null`, left out.
fn refusal(file: &str, key: &str, value: serde_json::Value) -> String {
    let mut config: serde_json::Value = serde_json::from_str(&read(file)).unwrap();
    let members = config.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(key).unwrap();
    } else {
        members.insert(key.into(), value);
    }
    let text = config.to_string();
    match file {
        "t5_config.json" => T5Config::from_json(&text).unwrap_err().to_string(),
        _ => ClipConfig::from_json(&text).unwrap_err().to_string(),
    }
}

#[test]
fn a_configuration_s_key_is_named() {
    for (file, key, value, says) in [
        ("t5_config.json", "d_ff", serde_json::Value::Null, "no T5 configuration: missing field `d_ff`"),
        (
            "t5_config.json",
            "d_kv",
            "8".into(),
            "no T5 configuration: d_kv: invalid type: string \"8\", expected usize",
        ),
        (
            "t5_config.json",
            "feed_forward_proj",
            "relu".into(),
            "no T5 configuration: feed_forward_proj: unknown variant `relu`, expected `gated-gelu`",
        ),
        (
            "t5_config.json",
            "relative_attention_num_buckets",
            30.into(),
            "'relative_attention_num_buckets' is 30, expected a multiple of 4",
        ),
        (
            "t5_config.json",
            "relative_attention_max_distance",
            8.into(),
            "'relative_attention_max_distance' is 8, expected more than a quarter of relative_attention_num_buckets, 8",
        ),
        (
            "t5_config.json",
            "layer_norm_epsilon",
            0.into(),
            "'layer_norm_epsilon' is 0, expected between 0 and 1",
        ),
        (
            "clip_config.json",
            "hidden_size",
            serde_json::Value::Null,
            "no CLIP text configuration: missing field `hidden_size`",
        ),
        (
            "clip_config.json",
            "hidden_act",
            "relu".into(),
            "no CLIP text configuration: hidden_act: unknown variant `relu`, expected `quick_gelu` or `gelu`",
        ),
        (
            "clip_config.json",
            "num_attention_heads",
            5.into(),
            "'num_attention_heads' is 5, expected a divisor of hidden_size 32",
        ),
        (
            "clip_config.json",
            "eos_token_id",
            (-1).into(),
            "no CLIP text configuration: eos_token_id: invalid value: integer `-1`, expected u32",
        ),
    ] {
        assert_eq!(refusal(file, key, value), says);
    }
    let message = T5Config::from_json("{").unwrap_err().to_string();
    assert!(message.starts_with("no T5 configuration: EOF while parsing"), "{message}");
}

#[test]
fn published_sizes_have_their_names() {
    assert_eq!(T5Config::xxl().name(), "t5-v1_1-xxl");
    assert_eq!(ClipConfig::vit_l_14().name(), "clip-text-12x768");
    T5Config::xxl().validate().unwrap();
    ClipConfig::vit_l_14().validate().unwrap();
    let text = serde_json::to_string(&T5Config::xxl()).unwrap();
    assert_eq!(T5Config::from_json(&text).unwrap(), T5Config::xxl());
}
