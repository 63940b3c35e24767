//! LoRA files of the programs that people use, against the same pairs in the form of PEFT with alphas among the tensors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use invardiff_models::{ClipText, Flux, LoadError, LoadOptions, Loaded, Lora, T5Encoder};
use safetensors::tensor::TensorView;

use crate::fixture::{Dump, Stored, bits, data, device, difference, largest};
use crate::tiny::{Folder, drawn, floats, load, public, values, wave};

const BASE: &str = "model/flux1-dev-fp8.safetensors";

/// The model with a LoRA file.
fn with(lora: &Path) -> Tensor<3> {
    let folder = Folder::new();
    let base = folder.copy(&public(BASE), "a.safetensors");
    drawn(&base, &LoadOptions::default().with_loras(vec![Lora::new(lora, 1.0)]))
}

fn try_with(lora: &Path) -> Result<Loaded<Flux>, LoadError> {
    let folder = Folder::new();
    let base = folder.copy(&public(BASE), "a.safetensors");
    load(&base, &LoadOptions::default().with_loras(vec![Lora::new(lora, 1.0)]))
}

/// The same pairs under other names, with an alpha for each where one is given.
fn renamed(dump: &Dump, alpha: Option<f32>, rename: impl Fn(&str) -> Option<String>) -> Dump {
    let mut plain = Dump(std::collections::BTreeMap::new());
    for (key, stored) in &dump.0 {
        let Some(key) = rename(key) else { continue };
        if let (Some(alpha), Some(stem)) = (alpha, key.strip_suffix(".lora_A.weight")) {
            plain.0.insert(format!("{stem}.alpha"), Stored::f32(&[], &[alpha]));
        }
        plain.0.insert(key, stored.clone());
    }
    plain
}

fn same(lora: &Path, plain: &Dump) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.safetensors");
    plain.write(&path);
    let (found, expected) = (with(lora), with(&path));
    let base = Folder::new();
    let unchanged = drawn(&base.copy(&public(BASE), "a.safetensors"), &LoadOptions::default());
    assert!(
        difference(expected.clone(), unchanged) > 0.01 * largest(expected.clone()),
        "the change is not seen"
    );
    assert_eq!(bits(found), bits(expected), "{}", lora.display());
}

#[test]
fn strength_beside_the_tensors_is_taken() {
    let dump = floats(&public("lora/peft/adapter_model.safetensors"));
    let plain = renamed(&dump, Some(2.0), |key| Some(key.to_owned()));
    same(&public("lora/peft/adapter_model.safetensors"), &plain);
    // The folder is as good as the file.
    same(&public("lora/peft"), &plain);
    let header = floats(&public("lora/plain_header_alpha.safetensors"));
    let plain = renamed(&header, Some(2.0), |key| Some(key.to_owned()));
    same(&public("lora/plain_header_alpha.safetensors"), &plain);
    let loaded = try_with(&public("lora/peft")).unwrap();
    assert!(
        loaded.notes.iter().any(|note| note.contains("alpha 2 over rank 4, from adapter_config.json")),
        "{:?}",
        loaded.notes
    );
}

/// A LoRA with this header.
fn headed(folder: &Path, dump: &Dump, header: &[(&str, &str)]) -> PathBuf {
    let views = dump.0.iter().map(|(key, stored)| {
        (key, TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes).unwrap())
    });
    let remarks: HashMap<String, String> =
        header.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let path = folder.join("headed.safetensors");
    std::fs::write(&path, safetensors::serialize(views, Some(remarks)).unwrap()).unwrap();
    path
}

#[test]
fn every_form_of_header_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let dump = floats(&public("lora/plain_header_alpha.safetensors"));
    let plain = renamed(&dump, Some(2.0), |key| Some(key.to_owned()));
    for header in [
        ("lora_alpha", "2"),
        ("alpha", "2.0"),
        ("network_alpha", "2"),
        ("lora_adapter_metadata", r#"{"transformer.r": 4, "transformer.lora_alpha": 2}"#),
        ("lora_adapter_metadata", r#"{"r": 4, "lora_alpha": 2}"#),
        ("peft_config", r#"{"lora_alpha": 2}"#),
    ] {
        same(&headed(folder.path(), &dump, &[header]), &plain);
    }
    let root = renamed(&dump, Some(4.0), |key| Some(key.to_owned()));
    same(&headed(folder.path(), &dump, &[("lora_alpha", "2"), ("use_rslora", "true")]), &root);
}

#[test]
fn two_strengths_that_differ_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let dump = floats(&public("lora/plain_header_alpha.safetensors"));
    let path = headed(folder.path(), &dump, &[("lora_alpha", "2")]);
    std::fs::write(folder.path().join("adapter_config.json"), r#"{"r": 4, "lora_alpha": 8}"#).unwrap();
    let message = try_with(&path).unwrap_err().to_string();
    assert!(
        message.contains("two strengths are given") && message.contains("adapter_config.json"),
        "{message}"
    );
    let tensors = renamed(&dump, Some(3.0), |key| Some(key.to_owned()));
    std::fs::remove_file(folder.path().join("adapter_config.json")).unwrap();
    let message = try_with(&headed(folder.path(), &tensors, &[("lora_alpha", "2")])).unwrap_err().to_string();
    assert!(message.contains("alpha 3 in the tensors, 2 in the header"), "{message}");
    let message = try_with(&headed(folder.path(), &dump, &[("lora_alpha", "2"), ("r", "8")])).unwrap_err();
    assert!(message.to_string().contains("the header has rank 8 for"), "{message}");
}

#[test]
fn names_of_other_programs_are_the_same_layers() {
    let default = floats(&public("lora/default_in_names.safetensors"));
    let plain = renamed(&default, None, |key| Some(key.replace(".default.", ".")));
    same(&public("lora/default_in_names.safetensors"), &plain);

    let underscore = floats(&public("lora/trailing_underscore.safetensors"));
    let plain = renamed(&underscore, None, |key| Some(key.replace("_.", ".")));
    same(&public("lora/trailing_underscore.safetensors"), &plain);

    let xlabs = floats(&public("lora/xlabs.safetensors"));
    let plain = renamed(&xlabs, None, |key| {
        let key = key.replace("_lora1.", ".").replace("_lora2.", "@.");
        let stream = if key.contains('@') { "txt_attn" } else { "img_attn" };
        let key = key.replace('@', "").replace("processor", stream);
        Some(key.replace(".down.weight", ".lora_A.weight").replace(".up.weight", ".lora_B.weight"))
    });
    same(&public("lora/xlabs.safetensors"), &plain);

    // A pickled file is one like others.
    let plain = renamed(&floats(&public("lora/pickled.bin")), None, |key| Some(key.to_owned()));
    same(&public("lora/pickled.bin"), &plain);

    let dotted = floats(&public("lora/plain_header_alpha.safetensors"));
    for prefix in ["lycoris_", "lora_unet_", "lora_transformer_"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let flat = renamed(&dotted, None, |key| {
            let (stem, end) = key.split_once(".lora_").unwrap();
            let half = if end.starts_with('A') { "lora_down.weight" } else { "lora_up.weight" };
            Some(format!("{prefix}{}.{half}", stem.replacen("transformer.", "", 1).replace('.', "_")))
        });
        flat.write(&path);
        same(&path, &renamed(&dotted, None, |key| Some(key.to_owned())));
    }
}

/// Differences of biases are added.
#[test]
fn biases_are_changed_too() {
    let lora = floats(&public("lora/comfy_diff_b.safetensors"));
    let folder = Folder::new();
    let mut base = floats(&public(BASE));
    for (key, stored) in lora.0.iter().filter(|(key, _)| key.ends_with(".diff_b")) {
        let name = key.strip_prefix("diffusion_model.").unwrap().replace(".diff_b", ".bias");
        let sum: Vec<f32> = values(&base.0[&name]).iter().zip(values(stored)).map(|(a, b)| a + b).collect();
        base.0.insert(name, Stored::f32(&[sum.len()], &sum));
    }
    let by_hand = folder.write("biases.safetensors", &base);
    let pairs = folder.write(
        "pairs.safetensors",
        &renamed(&lora, None, |key| (!key.ends_with(".diff_b")).then(|| key.to_owned())),
    );
    let expected = drawn(&by_hand, &LoadOptions::default().with_loras(vec![Lora::new(pairs, 1.0)]));
    let found = with(&public("lora/comfy_diff_b.safetensors"));
    assert_eq!(bits(found), bits(expected));
}

#[test]
fn parts_of_text_encoders_are_theirs() {
    let kohya = floats(&public("lora/kohya_with_te1.safetensors"));
    let plain = renamed(&kohya, None, |key| key.starts_with("lora_unet_").then(|| key.to_owned()));
    same(&public("lora/kohya_with_te1.safetensors"), &plain);

    // CLIP and T5: pairs added by hand.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (encoder, layer, prefix, config, rows, columns) in [
        ("clip", "text_model.encoder.layers.1.mlp.fc1", "lora_te1_", "clip_config.json", 64, 32),
        ("t5", "encoder.block.2.layer.1.DenseReluDense.wo", "lora_te3_", "t5_config.json", 32, 48),
    ] {
        let mut dump = Dump::open(&data(&format!("text_tiny/{encoder}.safetensors")));
        let key = format!("{layer}.weight");
        assert_eq!(dump.0[&key].shape.len(), 2);
        let (rows, columns) =
            (dump.0[&key].shape[0].max(rows.min(1)), dump.0[&key].shape[1].max(columns.min(1)));
        std::fs::copy(data(&format!("text_tiny/{config}")), path("config.json")).unwrap();
        dump.write(&path("model.safetensors"));
        let (down, up) = (wave(1, 2, columns), wave(2, rows, 2));
        let flat = format!("{prefix}{}", layer.replace('.', "_"));
        let lora = Dump(
            [
                (format!("{flat}.lora_down.weight"), down.clone()),
                (format!("{flat}.lora_up.weight"), up.clone()),
                (format!("{flat}.alpha"), Stored::f32(&[], &[1.0])),
            ]
            .into(),
        );
        lora.write(&path("lora.safetensors"));
        let options = LoadOptions::default().with_loras(vec![Lora::new(path("lora.safetensors"), 0.5)]);
        let (down, up) = (values(&down), values(&up));
        let mut sum = values(&dump.0[&key]);
        for row in 0..rows {
            for column in 0..columns {
                let product: f32 = (0..2).map(|r| up[row * 2 + r] * down[r * columns + column]).sum();
                sum[row * columns + column] += 0.25 * product;
            }
        }
        let before = encoded(encoder, folder.path(), &LoadOptions::default());
        let found = encoded(encoder, folder.path(), &options);
        dump.0.insert(key, Stored::f32(&[rows, columns], &sum));
        dump.write(&path("model.safetensors"));
        let expected = encoded(encoder, folder.path(), &LoadOptions::default());
        assert!(difference(before, expected.clone()) > 1e-4, "{encoder}: the change is not seen");
        assert!(difference(found, expected) < 1e-5, "{encoder}");
    }
}

fn encoded(encoder: &str, folder: &Path, options: &LoadOptions) -> Tensor<3> {
    if encoder == "clip" {
        let clip = ClipText::load_with(folder, options, &device()).unwrap().model;
        return clip.forward(clip.ids(&[&[5, 9, 2]]).unwrap()).hidden;
    }
    let t5 = T5Encoder::load_with(folder, options, &device()).unwrap().model;
    t5.forward(t5.ids(&[&[5, 9, 1]]).unwrap())
}

/// What is not merged is one line per kind.
#[test]
fn kinds_that_are_not_merged_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let dump = floats(&public("lora/plain_header_alpha.safetensors"));
    for (end, says) in [("oft_blocks", "OFT, which is not merged"), ("ia3_l", "IA3, which is not merged")] {
        let mut other = Dump(std::collections::BTreeMap::new());
        for key in dump.0.keys().filter_map(|key| key.strip_suffix(".lora_A.weight")) {
            other.0.insert(format!("{key}.{end}"), Stored::zeros(&[4]));
        }
        other.write(&folder.path().join("a.safetensors"));
        let message = try_with(&folder.path().join("a.safetensors")).unwrap_err().to_string();
        assert!(message.contains("39 tensors such as ") && message.contains(says), "{message}");
        assert_eq!(message.lines().count(), 2, "{message}");
    }
    // A control LoRA reads an image beside the noise.
    let mut control = Dump(std::collections::BTreeMap::new());
    control.0.insert("img_in.lora_A.weight".into(), wave(1, 4, 128));
    control.0.insert("img_in.lora_B.weight".into(), wave(2, 32, 4));
    control.write(&folder.path().join("b.safetensors"));
    let message = try_with(&folder.path().join("b.safetensors")).unwrap_err().to_string();
    assert!(message.contains("this is a control LoRA"), "{message}");
    // Not finite.
    let mut bad = dump;
    let key = bad.0.keys().next().unwrap().clone();
    let count = values(&bad.0[&key]).len();
    bad.0.get_mut(&key).unwrap().bytes = vec![f32::NAN; count].iter().flat_map(|v| v.to_le_bytes()).collect();
    bad.write(&folder.path().join("c.safetensors"));
    let message = try_with(&folder.path().join("c.safetensors")).unwrap_err().to_string();
    assert!(message.contains(&key) && message.contains("NaN or infinite"), "{message}");
}
