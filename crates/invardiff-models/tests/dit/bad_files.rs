//! Files that do not fit are refused whole, with everything that is wrong named at once.

use std::path::PathBuf;

use invardiff_models::{Dit, KeyProblems, LoadError};
use safetensors::Dtype;
use tempfile::TempDir;

use crate::fixture::{Dump, Stored, data, device};

/// The weights of `folder`, changed, beside its configuration.
fn changed(folder: &str, weights: &str, config: &str, change: impl FnOnce(&mut Dump)) -> (TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    std::fs::copy(data(folder).join(config), out.path().join(config)).unwrap();
    let mut dump = Dump::open(&data(folder).join(weights));
    change(&mut dump);
    let path = out.path().join(weights);
    dump.write(&path);
    (out, path)
}

fn original(change: impl FnOnce(&mut Dump)) -> (TempDir, PathBuf) {
    changed("dit_tiny", "weights.safetensors", "manifest.json", change)
}

fn diffusers(change: impl FnOnce(&mut Dump)) -> (TempDir, PathBuf) {
    changed("dit_tiny_diffusers", "diffusion_pytorch_model.safetensors", "config.json", change)
}

fn problems(path: &std::path::Path) -> (String, KeyProblems) {
    let error = Dit::load(path, &device()).unwrap_err();
    let message = error.to_string();
    match error {
        LoadError::Keys { problems, .. } => (message, *problems),
        other => panic!("{other}"),
    }
}

#[test]
fn unchanged_files_load() {
    for (_folder, path) in [original(|_| {}), diffusers(|_| {})] {
        Dit::load(&path, &device()).unwrap();
    }
}

#[test]
fn all_that_is_wrong_is_in_one_error() {
    let (_folder, path) = original(|dump| {
        dump.0.remove("blocks.1.attn.qkv.bias").unwrap();
        dump.0.remove("final_layer.linear.weight").unwrap();
        dump.0.insert("blocks.4.attn.qkv.bias".into(), Stored::zeros(&[192]));
        dump.0.insert("optimizer.step".into(), Stored::zeros(&[]));
        dump.0.insert("blocks.2.mlp.fc1.weight".into(), Stored::zeros(&[64, 256]));
        dump.0.insert("pos_embed".into(), Stored::zeros(&[1, 64, 64]));
        let count = Stored { dtype: Dtype::I64, shape: vec![64], bytes: vec![0; 512] };
        dump.0.insert("x_embedder.proj.bias".into(), count);
    });
    let (message, problems) = problems(&path);
    let keys = |found: &[invardiff_models::FoundTensor]| -> Vec<String> {
        found.iter().map(|tensor| tensor.key.clone()).collect()
    };
    assert_eq!(keys(&problems.missing), ["blocks.1.attn.qkv.bias", "final_layer.linear.weight"]);
    assert_eq!(keys(&problems.unused), ["blocks.4.attn.qkv.bias", "optimizer.step"]);
    assert_eq!(problems.misshapen.len(), 2);
    assert_eq!(problems.not_float.len(), 1);
    for line in [
        "weights.safetensors: the weights do not fit dit-4x64-p2-8x8x4\n",
        "\n  missing: blocks.1.attn.qkv.bias, expected [192]\n",
        "\n  missing: final_layer.linear.weight, expected [32, 64]\n",
        "\n  unused: blocks.4.attn.qkv.bias, found [192]\n",
        "\n  unused: optimizer.step, found []\n",
        "\n  misshapen: pos_embed, expected [1, 16, 64], found [1, 64, 64]\n",
        "\n  misshapen: blocks.2.mlp.fc1.weight, expected [256, 64], found [64, 256]\n",
        "\n  not a float: x_embedder.proj.bias, found elements of type i64",
    ] {
        assert!(message.contains(line), "{line:?} is not in\n{message}");
    }
}

#[test]
fn diffusers_names_are_used_in_its_errors() {
    let (_folder, path) = diffusers(|dump| {
        dump.0.remove("transformer_blocks.1.attn1.to_k.weight").unwrap();
        dump.0.remove("transformer_blocks.3.norm1.emb.timestep_embedder.linear_1.bias").unwrap();
        dump.0.insert("transformer_blocks.2.attn1.to_v.bias".into(), Stored::zeros(&[192]));
        dump.0.insert("pos_embed.pos_embed".into(), Stored::zeros(&[1, 16, 64]));
    });
    let (message, _) = problems(&path);
    for line in [
        "\n  missing: transformer_blocks.3.norm1.emb.timestep_embedder.linear_1.bias, expected [64]\n",
        "\n  missing: transformer_blocks.1.attn1.to_k.weight, expected [64, 64]\n",
        "\n  unused: pos_embed.pos_embed, found [1, 16, 64]\n",
        "\n  misshapen: transformer_blocks.2.attn1.to_v.bias, expected [64], found [192]",
    ] {
        assert!(message.contains(line), "{line:?} is not in\n{message}");
    }
}

#[test]
fn copies_that_differ_are_refused() {
    let key = "transformer_blocks.2.norm1.emb.class_embedder.embedding_table.weight";
    let (_folder, path) = diffusers(|dump| dump.0.get_mut(key).unwrap().bytes[5] ^= 1);
    let error = Dit::load(&path, &device()).unwrap_err();
    assert!(matches!(&error, LoadError::Copies { key: found, .. } if found == key));
    let first = key.replace("blocks.2", "blocks.0");
    assert!(error.to_string().contains(&format!("'{key}' differs from '{first}'")), "{error}");
}

#[test]
fn a_file_of_the_wrong_length_is_refused() {
    let (_folder, path) = original(|_| {});
    let bytes = std::fs::read(&path).unwrap();
    let longer = [bytes.as_slice(), b"\0"].concat();
    let text = b"{\"not\": \"weights\"}".to_vec();
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..1000], &bytes[..8], &[], &longer, &text] {
        std::fs::write(&path, damaged).unwrap();
        let error = Dit::load(&path, &device()).unwrap_err();
        assert!(matches!(error, LoadError::Format { .. }), "{} bytes: {error}", damaged.len());
        let message = error.to_string();
        assert!(message.contains("weights.safetensors: no whole safetensors file"), "{message}");
    }
}

#[test]
fn a_file_of_something_else_is_refused() {
    let (_folder, path) = original(|dump| dump.0.retain(|key, _| key.starts_with("blocks.")));
    let error = Dit::load(&path, &device()).unwrap_err();
    assert!(matches!(error, LoadError::Format { .. }));
    assert!(error.to_string().contains("no DiT: it has neither"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, says) in [
        ("model.gguf", &b"GGUF"[..], "no whole GGUF file: the header does not end"),
        (
            "model.xyz",
            b"abcdefghijk",
            "read from safetensors, PyTorch (.pt, .pth, .bin, .ckpt) and GGUF files",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Dit::load(&path, &device()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn nothing_there() {
    let folder = tempfile::tempdir().unwrap();
    let error = Dit::load(folder.path(), &device()).unwrap_err();
    assert!(matches!(error, LoadError::NotFound { .. }));
    assert!(
        error.to_string().contains("the folder has none of model.safetensors, weights.safetensors, "),
        "{error}"
    );
    let error = Dit::load(folder.path().join("absent.pt"), &device()).unwrap_err();
    assert!(error.to_string().contains("absent.pt: there is no such file or folder"), "{error}");
}

#[test]
fn what_the_shapes_do_not_say() {
    let (folder, path) = original(|_| {});
    std::fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let error = Dit::load(&path, &device()).unwrap_err();
    assert!(matches!(error, LoadError::NotInferred { .. }));
    assert!(error.to_string().contains("no published DiT is 64 channels wide"), "{error}");
    assert!(error.to_string().contains("put a config.json beside the weights"), "{error}");

    let (folder, path) = diffusers(|_| {});
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    let error = Dit::load(&path, &device()).unwrap_err();
    assert!(error.to_string().contains("does not store positions"), "{error}");
}

#[test]
fn a_broken_configuration_is_named() {
    let (folder, path) = original(|_| {});
    let config = folder.path().join("config.json");
    for (text, says) in [
        ("{\"input_size\": 8", "no DiT configuration: EOF while parsing"),
        ("{\"input_size\": 8}", "missing field `patch_size`"),
        ("[]", "invalid length 0"),
    ] {
        std::fs::write(&config, text).unwrap();
        let error = Dit::load(&path, &device()).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, LoadError::Config { .. }), "{message}");
        assert!(message.contains("config.json: ") && message.contains(says), "{message}");
    }
}
