//! Public layouts, folders, configurations and element types.

use burn::tensor::{DType, Tensor};
use invardiff_models::{ConfigError, Dit, DitConfig, KeyLayout, LoadError, Loaded, Numerics};
use invardiff_plan::OutputForm;
use invardiff_runtime::{Denoiser, Full};
use safetensors::Dtype;

use crate::fixture::{Dump, Stored, bits, data, device, difference, largest, within};

fn output(dit: &Dit, dump: &Dump) -> Tensor<4> {
    dit.forward(&mut Full, dump.tensor("x"), dump.times("t"), dump.labels("y"))
}

fn load(path: impl AsRef<std::path::Path>) -> Loaded<Dit> {
    Dit::load(path, &device()).unwrap()
}

#[test]
fn a_folder_is_its_weights() {
    let folder = load(data("dit_tiny"));
    let file = data("dit_tiny/weights.safetensors");
    assert_eq!(folder.file.as_deref(), Some(file.as_path()));
    assert_eq!((folder.layout, folder.section), (KeyLayout::Original, None));
    assert_eq!(folder.sha256, load(file).sha256);
    assert_eq!(folder.sha256.len(), 64);
    assert_eq!(folder.model.config().name(), "dit-4x64-p2-8x8x4");
    assert_eq!(folder.model.dtype(), DType::F32);
}

#[test]
fn weights_in_memory_are_the_file() {
    let bytes = std::fs::read(data("dit_tiny/weights.safetensors")).unwrap();
    let file = load(data("dit_tiny"));
    let memory = Dit::from_bytes(&bytes, file.model.config(), &device()).unwrap();
    assert_eq!((memory.sha256, memory.file), (file.sha256, None));
    let dump = Dump::open(&data("dit_tiny/forward.safetensors"));
    assert_eq!(bits(output(&memory.model, &dump)), bits(output(&file.model, &dump)));
}

#[test]
fn this_projects_folder_and_diffusers_pipeline_folder() {
    let dump = Dump::open(&data("dit_tiny_diffusers/forward.safetensors"));
    let expected = bits(output(&load(data("dit_tiny_diffusers")).model, &dump));
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("transformer");
    std::fs::create_dir(&inner).unwrap();
    for file in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(data("dit_tiny_diffusers").join(file), inner.join(file)).unwrap();
    }
    let loaded = load(folder.path());
    assert_eq!(loaded.layout, KeyLayout::Diffusers);
    assert_eq!(bits(output(&loaded.model, &dump)), expected);

    let own = tempfile::tempdir().unwrap();
    let config = serde_json::to_string(loaded.model.config()).unwrap();
    std::fs::write(own.path().join("config.json"), config).unwrap();
    std::fs::copy(loaded.file.unwrap(), own.path().join("model.safetensors")).unwrap();
    assert_eq!(bits(output(&load(own.path()).model, &dump)), expected);
}

/// Diffusers' names with the numbers of the original code.
#[test]
fn numerics_can_be_chosen() {
    let dump = Dump::open(&data("dit_tiny_diffusers/forward.safetensors"));
    let bytes = std::fs::read(data("dit_tiny_diffusers/diffusion_pytorch_model.safetensors")).unwrap();
    let by_file = load(data("dit_tiny_diffusers")).model;
    assert_eq!(by_file.config().numerics, Some(Numerics::Diffusers));
    let config = DitConfig { numerics: Some(Numerics::Original), ..by_file.config().clone() };
    let original = Dit::from_bytes(&bytes, &config, &device()).unwrap().model;
    let expected = dump.tensor("out_freqshift0_eps1e6");
    within("original numerics", difference(output(&original, &dump), expected), 1e-5);
    let apart = difference(output(&original, &dump), output(&by_file, &dump));
    assert!((apart - 0.373_776_94).abs() < 1e-4, "the manifest measured 0.3738 between the two: {apart}");
    let config = DitConfig { numerics: None, ..config };
    let unsaid = Dit::from_bytes(&bytes, &config, &device()).unwrap().model;
    assert_eq!(bits(output(&unsaid, &dump)), bits(output(&by_file, &dump)), "the names decide");
}

#[test]
fn half_precision_files_are_cast() {
    let dump = Dump::open(&data("dit_trained/forward.safetensors"));
    let exact = load(data("dit_trained")).model;
    let full = Dump::open(&data("dit_trained/weights.safetensors"));
    for (dtype, tolerance) in [(DType::F16, 5e-3), (DType::BF16, 5e-2)] {
        let mut half = full.clone();
        for (key, stored) in &mut half.0 {
            let values = full.flat(key);
            stored.dtype = if dtype == DType::F16 { Dtype::F16 } else { Dtype::BF16 };
            stored.bytes = values.cast(dtype).into_data().as_bytes().to_vec();
        }
        let dit = Dit::from_bytes(&half.bytes(), exact.config(), &device()).unwrap().model;
        assert_eq!(dit.dtype(), DType::F32);
        let (out, expected) = (output(&dit, &dump), dump.tensor::<4>("out"));
        let error = difference(out, expected.clone()) / largest(expected);
        assert!(error > 0.0, "weights were rounded");
        within(&format!("{dtype:?} weights, relative"), error, tolerance);
    }
}

#[test]
fn a_model_can_be_held_in_half_precision() {
    let dump = Dump::open(&data("dit_trained/forward.safetensors"));
    let dit = Dit::load_as(data("dit_trained"), DType::F16, &device()).unwrap().model;
    assert_eq!(dit.dtype(), DType::F16);
    let x = dump.tensor::<4>("x");
    let t = dump.ints("t")[0] as f32;
    let out = dit.predict(&mut Full, x.clone(), t, &dump.labels("y"));
    assert_eq!(out.dtype(), DType::F32, "the sample keeps its type");
    let full = load(data("dit_trained")).model.predict(&mut Full, x, t, &dump.labels("y"));
    within("f16 model, relative", difference(out, full.clone()) / largest(full), 1e-2);
}

/// Weights of a published width with nothing beside them.
#[test]
fn a_configuration_is_read_off_the_shapes() {
    let folder = tempfile::tempdir().unwrap();
    for (learn_sigma, classes, ratio) in [(true, 1000, 4.0), (false, 5, 3.0)] {
        let mut config = DitConfig {
            input_size: 8,
            patch_size: 4,
            in_channels: 3,
            hidden_size: 384,
            depth: 2,
            num_heads: 6,
            ..DitConfig::default()
        };
        (config.learn_sigma, config.num_classes, config.mlp_ratio) = (learn_sigma, classes, ratio);
        let path = folder.path().join("weights.safetensors");
        zeros(&config).write(&path);
        config.numerics = Some(Numerics::Original);
        assert_eq!(*load(&path).model.config(), config);
    }
}

/// A state dict of zeros.
fn zeros(config: &DitConfig) -> Dump {
    let (dim, p) = (config.hidden_size, config.patch_size);
    let mut dump = Dump(std::collections::BTreeMap::new());
    let mut put = |key: &str, shape: &[usize]| {
        dump.0.insert(key.to_owned(), Stored::zeros(shape));
    };
    put("x_embedder.proj.weight", &[dim, config.in_channels, p, p]);
    put("x_embedder.proj.bias", &[dim]);
    put("pos_embed", &[1, config.tokens(), dim]);
    put("y_embedder.embedding_table.weight", &[config.num_classes + 1, dim]);
    let mut linear = |key: &str, input: usize, output: usize| {
        put(&format!("{key}.weight"), &[output, input]);
        put(&format!("{key}.bias"), &[output]);
    };
    linear("t_embedder.mlp.0", 256, dim);
    linear("t_embedder.mlp.2", dim, dim);
    for layer in 0..config.depth {
        linear(&format!("blocks.{layer}.attn.qkv"), dim, 3 * dim);
        linear(&format!("blocks.{layer}.attn.proj"), dim, dim);
        linear(&format!("blocks.{layer}.mlp.fc1"), dim, config.mlp_hidden());
        linear(&format!("blocks.{layer}.mlp.fc2"), config.mlp_hidden(), dim);
        linear(&format!("blocks.{layer}.adaLN_modulation.1"), dim, 6 * dim);
    }
    linear("final_layer.adaLN_modulation.1", dim, 2 * dim);
    linear("final_layer.linear", dim, p * p * config.out_channels());
    dump
}

#[test]
fn names_and_sizes() {
    assert_eq!(DitConfig::names().len(), 24);
    for name in DitConfig::names() {
        assert_eq!(DitConfig::named(&name).unwrap().name(), name);
    }
    let xl = DitConfig::named("dit-xl-2-256").unwrap();
    assert_eq!((xl.depth, xl.hidden_size, xl.num_heads, xl.tokens()), (28, 1152, 16, 256));
    assert_eq!(DitConfig::named("dit-s-8-512").unwrap().tokens(), 64);
    let error = DitConfig::named("dit-xxl-2-256").unwrap_err();
    assert!(error.to_string().contains("dit-xl-2-256, "), "{error}");
}

#[test]
fn a_demo_configuration() {
    let text = r#"{"input_size": 28, "patch_size": 4, "in_channels": 1, "hidden_size": 128, "depth": 8,
        "num_heads": 4, "mlp_ratio": 4.0, "num_classes": 2, "learn_sigma": false,
        "prediction_type": "v_prediction", "beta_schedule": "linear", "num_train_timesteps": 1000,
        "class_names": ["boot", "bag"], "guidance_scale": 2.0, "pixel_range": [-1, 1], "comment": "ignored"}"#;
    let config = DitConfig::from_json(text).unwrap();
    assert_eq!(config.prediction_type, OutputForm::Velocity);
    assert_eq!((config.guidance_scale, config.pixel_range), (Some(2.0), Some([-1.0, 1.0])));
    assert_eq!(config.noise_schedule().unwrap().len(), 1000);
    let again = serde_json::to_string(&config).unwrap();
    assert_eq!(DitConfig::from_json(&again).unwrap(), config);
    for (from, to, says) in [
        (r#""depth": 8,"#, "", "missing field `depth`"),
        (
            r#""num_heads": 4"#,
            r#""num_heads": 5"#,
            "'hidden_size' is 128, expected a multiple of num_heads 5",
        ),
        (
            r#""patch_size": 4"#,
            r#""patch_size": 3"#,
            "'input_size' is 28, expected a multiple of patch_size 3",
        ),
        (r#""depth": 8"#, r#""depth": 4000000000"#, "'depth' is 4000000000, expected 1 to 1024"),
        (r#""boot", "#, "", "'class_names' is 1 names, expected none, or one for each of the 2 classes"),
        ("v_prediction", "w_prediction", "unknown variant `w_prediction`"),
        (r#""mlp_ratio": 4.0"#, r#""mlp_ratio": -1"#, "'mlp_ratio' is -1, expected 0.01 to 64"),
    ] {
        assert!(text.contains(from));
        let error = DitConfig::from_json(&text.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn labels_are_checked() {
    let dit = load(data("dit_tiny")).model;
    let labels = dit.labels(&[0, 9, 10], &device()).unwrap();
    assert_eq!(labels.into_data().try_into_vec_as::<i64>().unwrap(), [0, 9, 10]);
    assert_eq!(dit.null_labels(2, &device()).into_data().try_into_vec_as::<i64>().unwrap(), [10, 10]);
    let error = dit.labels(&[3, 11], &device()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "class label 11 is out of range: the model has classes 0 to 9, and 10 for none"
    );
}

#[test]
fn diffusers_configurations_of_other_architectures_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let weights = "diffusion_pytorch_model.safetensors";
    std::fs::copy(data("dit_tiny_diffusers").join(weights), folder.path().join(weights)).unwrap();
    let text = std::fs::read_to_string(data("dit_tiny_diffusers/config.json")).unwrap();
    for (from, to, says) in [
        ("DiTTransformer2DModel", "FluxTransformer2DModel", "'_class_name' is FluxTransformer2DModel"),
        ("gelu-approximate", "geglu", "'activation_fn' is geglu, expected gelu-approximate"),
        ("\"norm_eps\": 1e-05", "\"norm_eps\": 1e-06", "'norm_eps' is 0.000001, expected 1e-5"),
        ("\"out_channels\": 8", "\"out_channels\": 5", "'out_channels' is 5"),
        ("\"num_layers\": 4,", "", "missing field `num_layers`"),
        ("DiTTransformer2DModel", "Transformer2DModel", ""),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(folder.path().join("config.json"), text.replace(from, to)).unwrap();
        match Dit::load(folder.path(), &device()) {
            Ok(_) => assert_eq!(says, ""),
            Err(error) => {
                assert!(matches!(error, LoadError::Config { .. }));
                let message = error.to_string();
                assert!(message.contains(says) && message.contains("config.json"), "{message}");
                assert!(!says.is_empty(), "{message}");
            }
        }
    }
    let error = DitConfig::from_json("[1]").unwrap_err();
    assert!(matches!(error, ConfigError::Json(_)));
}
