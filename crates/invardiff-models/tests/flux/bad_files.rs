//! Files that do not fit are refused whole, with everything that is wrong named at once.

use std::path::{Path, PathBuf};

use invardiff_models::{Dit, Flux, KeyProblems, LoadError};
use safetensors::Dtype;
use tempfile::TempDir;

use crate::fixture::{Dump, Stored, data, device};
use crate::tiny::{FILES, folder};

/// The tiny weights, changed, beside their configuration.
fn changed(file: &str, change: impl FnOnce(&mut Dump)) -> (TempDir, PathBuf) {
    let out = tempfile::tempdir().unwrap();
    std::fs::copy(folder().join("config.json"), out.path().join("config.json")).unwrap();
    let mut dump = Dump::open(&folder().join(file));
    change(&mut dump);
    let path = out.path().join(file);
    dump.write(&path);
    (out, path)
}

fn problems(path: &Path) -> (String, KeyProblems) {
    let error = Flux::load(path, &device()).unwrap_err();
    let message = error.to_string();
    match error {
        LoadError::Keys { problems, .. } => (message, *problems),
        other => panic!("{other}"),
    }
}

#[test]
fn all_that_is_wrong_is_in_one_error() {
    let (_folder, path) = changed("bfl.safetensors", |dump| {
        dump.0.remove("single_blocks.1.linear1.weight").unwrap();
        dump.0.remove("double_blocks.0.txt_attn.norm.key_norm.scale").unwrap();
        dump.0.insert("single_blocks.3.linear1.bias".into(), Stored::zeros(&[336]));
        dump.0.insert("single_blocks.2.linear2.weight".into(), Stored::zeros(&[48, 192]));
        let count = Stored { dtype: Dtype::I64, shape: vec![48], bytes: vec![0; 384] };
        dump.0.insert("img_in.bias".into(), count);
    });
    let (message, problems) = problems(&path);
    assert_eq!(problems.missing.len(), 2, "a fused key is missed once");
    assert_eq!((problems.misshapen.len(), problems.unused.len(), problems.not_float.len()), (1, 1, 1));
    for line in [
        "bfl.safetensors: the weights do not fit flux-2+3x48\n",
        "\n  missing: single_blocks.1.linear1.weight, expected [336, 48]\n",
        "\n  missing: double_blocks.0.txt_attn.norm.key_norm.scale, expected [16]\n",
        "\n  unused: single_blocks.3.linear1.bias, found [336]\n",
        "\n  misshapen: single_blocks.2.linear2.weight, expected [48, 240], found [48, 192]\n",
        "\n  not a float: img_in.bias, found elements of type i64",
    ] {
        assert!(message.contains(line), "{line:?} is not in\n{message}");
    }
}

#[test]
fn diffusers_names_are_used_in_its_errors() {
    let (_folder, path) = changed(FILES[0], |dump| {
        dump.0.remove("transformer_blocks.1.attn.add_k_proj.weight").unwrap();
        dump.0.remove("norm_out.linear.bias").unwrap();
        dump.0.insert("single_transformer_blocks.0.proj_out.weight".into(), Stored::zeros(&[48, 48]));
        dump.0.insert("single_transformer_blocks.0.attn.to_out.0.bias".into(), Stored::zeros(&[48]));
    });
    let (message, _) = problems(&path);
    for line in [
        "\n  missing: transformer_blocks.1.attn.add_k_proj.weight, expected [48, 48]\n",
        "\n  missing: norm_out.linear.bias, expected [96]\n",
        "\n  unused: single_transformer_blocks.0.attn.to_out.0.bias, found [48]\n",
        "\n  misshapen: single_transformer_blocks.0.proj_out.weight, expected [48, 240], found [48, 48]",
    ] {
        assert!(message.contains(line), "{line:?} is not in\n{message}");
    }
}

/// Weights of dev under the configuration of schnell, and the other way round.
#[test]
fn the_guidance_embedder_must_fit_the_configuration() {
    let (out, path) = changed(FILES[0], |_| {});
    let config = out.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("\"guidance_embeds\": true", "\"guidance_embeds\": false")).unwrap();
    let (message, found) = problems(&path);
    assert_eq!((found.unused.len(), found.missing.len()), (4, 0), "{message}");
    assert!(
        message.contains("unused: time_text_embed.guidance_embedder.linear_1.bias, found [48]"),
        "{message}"
    );

    let (_out, path) = changed(FILES[0], |dump| dump.0.retain(|key, _| !key.contains("guidance_embedder")));
    let (message, found) = problems(&path);
    assert_eq!((found.unused.len(), found.missing.len()), (0, 4), "{message}");
}

#[test]
fn a_file_of_another_model_is_refused() {
    let error = Flux::load(data("dit_tiny/weights.safetensors"), &device()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("weights.safetensors: no FLUX: these are the weights of a DiT"), "{message}");
    let error = Flux::load(data("dit_tiny_diffusers"), &device()).unwrap_err();
    assert!(error.to_string().contains("no FLUX: these are the weights of a DiT"), "{error}");
    let alone = tempfile::tempdir().unwrap();
    let path = alone.path().join(FILES[1]);
    std::fs::copy(folder().join(FILES[1]), &path).unwrap();
    let error = Dit::load(&path, &device()).unwrap_err();
    let expected = "bfl.safetensors: no DiT: these are the weights of a FLUX transformer; it has neither";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn damaged_files_are_refused() {
    for file in FILES {
        let (_out, path) = changed(file, |_| {});
        let bytes = std::fs::read(&path).unwrap();
        for damaged in [&bytes[..bytes.len() - 1], &bytes[..1000], &bytes[..8], &[]] {
            std::fs::write(&path, damaged).unwrap();
            let error = Flux::load(&path, &device()).unwrap_err();
            assert!(matches!(error, LoadError::Format { .. }), "{} bytes: {error}", damaged.len());
            let message = error.to_string();
            assert!(message.contains(&format!("{file}: no whole safetensors file")), "{message}");
        }
    }
}

#[test]
fn nothing_there_and_nothing_beside() {
    let empty = tempfile::tempdir().unwrap();
    let error = Flux::load(empty.path(), &device()).unwrap_err();
    assert!(matches!(error, LoadError::NotFound { .. }));
    assert!(error.to_string().contains("in shards or in transformer/); it has no file"), "{error}");

    let (out, path) = changed(FILES[1], |_| {});
    std::fs::remove_file(out.path().join("config.json")).unwrap();
    let error = Flux::load(&path, &device()).unwrap_err();
    assert!(matches!(error, LoadError::NotInferred { .. }));
    let message = error.to_string();
    assert!(message.contains("a token has 48 channels and a head 16"), "{message}");
    assert!(message.contains("put a config.json beside the weights"), "{message}");

    std::fs::write(out.path().join("config.json"), "{\"num_layers\": 2").unwrap();
    let error = Flux::load(&path, &device()).unwrap_err();
    assert!(error.to_string().contains("config.json: no FLUX configuration: EOF while parsing"), "{error}");
}
