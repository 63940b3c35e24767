//! Public layouts, folders, configurations, names and element types.

use burn::tensor::DType;
use invardiff_models::{Canvas, ConfigError, Flux, FluxConfig, KeyLayout};
use invardiff_plan::Topology;
use invardiff_plan::shapes::{FluxShape, SingleFeature};
use invardiff_runtime::{Denoiser, Full};
use safetensors::Dtype;

use crate::fixture::{Dump, Stored, bits, device, difference, largest, within};
use crate::tiny::{CANVAS, FILES, cond, dump, folder, load, model, output};

/// Both layouts give the same model, bit for bit.
#[test]
fn both_layouts_are_one_model() {
    let [diffusers, original] = FILES.map(load);
    assert_eq!((diffusers.layout, original.layout), (KeyLayout::Diffusers, KeyLayout::Original));
    assert_eq!((diffusers.section, original.section), (None, None));
    assert_ne!(diffusers.sha256, original.sha256);
    assert_eq!(diffusers.model.config(), original.model.config());
    let dump = dump();
    let [a, b] = FILES.map(|file| bits(output(&model(file), &dump)));
    assert_eq!(a, b);
}

#[test]
fn folders() {
    let expected = load(FILES[0]);
    let by_folder = Flux::load(folder(), &device()).unwrap();
    assert_eq!(by_folder.file.as_deref(), Some(folder().join(FILES[0]).as_path()));
    assert_eq!(by_folder.sha256, expected.sha256);

    let pipeline = tempfile::tempdir().unwrap();
    let inner = pipeline.path().join("transformer");
    std::fs::create_dir(&inner).unwrap();
    for file in ["config.json", FILES[0]] {
        std::fs::copy(folder().join(file), inner.join(file)).unwrap();
    }
    let loaded = Flux::load(pipeline.path(), &device()).unwrap();
    assert_eq!((loaded.layout, loaded.sha256), (KeyLayout::Diffusers, expected.sha256.clone()));

    let own = tempfile::tempdir().unwrap();
    let config = serde_json::to_string(expected.model.config()).unwrap();
    std::fs::write(own.path().join("config.json"), config).unwrap();
    std::fs::copy(folder().join(FILES[1]), own.path().join("model.safetensors")).unwrap();
    let loaded = Flux::load(own.path(), &device()).unwrap();
    assert_eq!(loaded.layout, KeyLayout::Original);
    assert_eq!(loaded.model.config(), expected.model.config());

    let bytes = std::fs::read(folder().join(FILES[0])).unwrap();
    let memory = Flux::from_bytes(&bytes, expected.model.config(), &device()).unwrap();
    assert_eq!((memory.file, memory.sha256), (None, expected.sha256));
}

/// A pipeline in one file has the transformer under a prefix, and other parts beside it.
#[test]
fn a_section_of_a_larger_file() {
    let dump = dump();
    let inner = Dump::open(&folder().join(FILES[1]));
    let keys = inner.0.into_iter().map(|(key, stored)| (format!("model.diffusion_model.{key}"), stored));
    let mut whole = Dump(keys.collect());
    whole.0.insert("vae.decoder.conv_in.bias".into(), Stored::zeros(&[4]));
    let config = model(FILES[1]).config().clone();
    let loaded = Flux::from_bytes(&whole.bytes(), &config, &device()).unwrap();
    assert_eq!(loaded.section.as_deref(), Some("model.diffusion_model"));
    let flux = loaded.model.with_canvas(CANVAS);
    assert_eq!(bits(output(&flux, &dump)), bits(output(&model(FILES[1]), &dump)));
}

/// Weights with heads of the published width and nothing beside them.
#[test]
fn a_configuration_is_read_off_the_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for (guidance_embeds, num_layers, num_single_layers, in_channels) in
        [(true, 1, 2, 8), (false, 2, 0, 8), (true, 1, 1, 2 * 8 + 256)]
    {
        let config = FluxConfig {
            in_channels,
            out_channels: 8,
            num_layers,
            num_single_layers,
            num_attention_heads: 1,
            joint_attention_dim: 12,
            pooled_projection_dim: 10,
            guidance_embeds,
            ..FluxConfig::named("flux1-dev").unwrap()
        };
        zeros(&config).write(&path);
        let loaded = Flux::load(&path, &device()).unwrap();
        assert_eq!(*loaded.model.config(), config);
    }
}

/// An original state dict of zeros.
fn zeros(config: &FluxConfig) -> Dump {
    let (dim, wide, head) = (config.hidden_size(), config.mlp_hidden(), config.attention_head_dim);
    let mut dump = Dump(std::collections::BTreeMap::new());
    let mut put = |key: String, shape: &[usize]| {
        dump.0.insert(key, Stored::zeros(shape));
    };
    let linear = |key: String, input: usize, output: usize| {
        [(format!("{key}.weight"), vec![output, input]), (format!("{key}.bias"), vec![output])]
    };
    let mut maps = vec![
        linear("img_in".into(), config.in_channels, dim),
        linear("txt_in".into(), config.joint_attention_dim, dim),
        linear("vector_in.in_layer".into(), config.pooled_projection_dim, dim),
        linear("vector_in.out_layer".into(), dim, dim),
        linear("time_in.in_layer".into(), 256, dim),
        linear("time_in.out_layer".into(), dim, dim),
        linear("final_layer.adaLN_modulation.1".into(), dim, 2 * dim),
        linear("final_layer.linear".into(), dim, config.out_channels),
    ];
    if config.guidance_embeds {
        maps.push(linear("guidance_in.in_layer".into(), 256, dim));
        maps.push(linear("guidance_in.out_layer".into(), dim, dim));
    }
    for layer in 0..config.num_layers {
        for stream in ["img", "txt"] {
            let name = |part: &str| format!("double_blocks.{layer}.{stream}_{part}");
            maps.push(linear(name("mod.lin"), dim, 6 * dim));
            maps.push(linear(name("attn.qkv"), dim, 3 * dim));
            maps.push(linear(name("attn.proj"), dim, dim));
            maps.push(linear(name("mlp.0"), dim, wide));
            maps.push(linear(name("mlp.2"), wide, dim));
            put(name("attn.norm.query_norm.scale"), &[head]);
            put(name("attn.norm.key_norm.scale"), &[head]);
        }
    }
    for layer in 0..config.num_single_layers {
        let name = |part: &str| format!("single_blocks.{layer}.{part}");
        maps.push(linear(name("modulation.lin"), dim, 3 * dim));
        maps.push(linear(name("linear1"), dim, 3 * dim + wide));
        maps.push(linear(name("linear2"), dim + wide, dim));
        put(name("norm.query_norm.scale"), &[head]);
        put(name("norm.key_norm.scale"), &[head]);
    }
    for (key, shape) in maps.into_iter().flatten() {
        put(key, &shape);
    }
    dump
}

/// The `config.json` of the public checkpoints leaves out what has diffusers' default.
#[test]
fn published_configurations() {
    let dev = r#"{"_class_name": "FluxTransformer2DModel", "_diffusers_version": "0.30.0.dev0",
        "_name_or_path": "elsewhere", "attention_head_dim": 128, "guidance_embeds": true, "in_channels": 64,
        "joint_attention_dim": 4096, "num_attention_heads": 24, "num_layers": 19, "num_single_layers": 38,
        "patch_size": 1, "pooled_projection_dim": 768}"#;
    let config = FluxConfig::from_json(dev).unwrap();
    assert_eq!(config, FluxConfig::named("flux1-dev").unwrap());
    assert_eq!(config.axes_dims_rope, [16, 56, 56]);
    let schnell =
        FluxConfig::from_json(&dev.replace("\"guidance_embeds\": true", "\"guidance_embeds\": false"));
    assert_eq!(schnell.unwrap(), FluxConfig::named("flux1-schnell").unwrap());
    for name in FluxConfig::names() {
        assert_eq!(FluxConfig::named(&name).unwrap().name(), name);
    }
    let again = serde_json::to_string(&config).unwrap();
    assert!(again.contains(r#""_class_name":"FluxTransformer2DModel""#), "diffusers reads it too: {again}");
    assert_eq!(FluxConfig::from_json(&again).unwrap(), config);
    let error = FluxConfig::named("flux2").unwrap_err();
    assert_eq!(
        error.to_string(),
        "'flux2' is no published size; there are flux1-dev, flux1-schnell, flux1-fill-dev"
    );
}

#[test]
fn bad_configurations_are_refused() {
    let text = std::fs::read_to_string(folder().join("config.json")).unwrap();
    let flat = text.split_whitespace().collect::<String>();
    for (from, to, says) in [
        ("FluxTransformer2DModel", "DiTTransformer2DModel", "no FLUX configuration: unknown variant `DiT"),
        ("[4,6,6]", "[4,6,8]", "'axes_dims_rope' is [4, 6, 8], expected three even numbers that add up to"),
        ("[4,6,6]", "[5,5,6]", "'axes_dims_rope' is [5, 5, 6]"),
        ("[4,6,6]", "[4,12]", "no FLUX configuration: invalid length 2"),
        (r#""patch_size":1"#, r#""patch_size":2"#, "'patch_size' is 2, expected 1"),
        (
            r#""out_channels":null"#,
            r#""out_channels":8"#,
            "'in_channels' is 16, expected out_channels 8, or 272",
        ),
        (r#""num_layers":2"#, r#""num_layers":5000"#, "'num_layers' is 5000, expected 0 to 1024"),
        (r#""num_layers":2"#, r#""num_layers":-1"#, "no FLUX configuration: invalid value: integer `-1`"),
        (r#""num_attention_heads":3"#, r#""num_attention_heads":0"#, "'num_attention_heads' is 0"),
    ] {
        assert!(flat.contains(from), "{from} is not in {flat}");
        let changed = flat.replace(from, to);
        let error = FluxConfig::from_json(&changed).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        serde_json::from_str::<FluxConfig>(&changed).unwrap_err();
    }
    let blockless = flat.replace(r#""num_layers":2"#, r#""num_layers":0"#);
    let blockless = blockless.replace(r#""num_single_layers":3"#, r#""num_single_layers":0"#);
    let error = FluxConfig::from_json(&blockless).unwrap_err();
    assert!(matches!(error, ConfigError::Field { field: "num_single_layers", .. }), "{error}");
}

#[test]
fn half_precision_files_and_models() {
    let dump = dump();
    let stored = Dump::open(&folder().join(FILES[1]));
    let expected = dump.tensor::<3>("out");
    let exact = model(FILES[1]);
    // Unit round-off is 2^-11 in f16 and 2^-8 in bf16; a forward has some dozens of roundings in a row.
    for (dtype, stored_dtype, tolerance) in [(DType::F16, Dtype::F16, 1e-2), (DType::BF16, Dtype::BF16, 1e-1)]
    {
        let mut half = stored.clone();
        for (key, tensor) in &mut half.0 {
            let values = stored.flat(key).cast(dtype);
            *tensor = Stored {
                dtype: stored_dtype,
                shape: tensor.shape.clone(),
                bytes: values.into_data().as_bytes().to_vec(),
            };
        }
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("flux1-dev.safetensors");
        half.write(&path);
        std::fs::copy(folder().join("config.json"), scratch.path().join("config.json")).unwrap();
        let full = Flux::load(scratch.path(), &device()).unwrap().model.with_canvas(CANVAS);
        assert_eq!(full.dtype(), DType::F32);
        let error = difference(output(&full, &dump), expected.clone()) / largest(expected.clone());
        assert!(error > 0.0, "weights were rounded");
        within(&format!("{dtype:?} file, relative"), error, tolerance);

        let low = Flux::load_as(scratch.path(), dtype, &device()).unwrap().model.with_canvas(CANVAS);
        assert_eq!((low.dtype(), low.single_blocks[0].attn_out.weight.dtype()), (dtype, dtype));
        let t = crate::tiny::values(&dump, "timestep")[0];
        let condition = cond(&low, &dump, "", true);
        let out = low.predict(&mut Full, dump.tensor("hidden_states"), t, &condition);
        assert_eq!(out.dtype(), DType::F32, "the sample keeps its type");
        let error = difference(out, expected.clone()) / largest(expected.clone());
        within(&format!("{dtype:?} model, relative"), error, tolerance);
    }
    assert_eq!(exact.dtype(), DType::F32);
}

/// Sites, shapes and costs are those that the plan crate knows FLUX by.
#[test]
fn topologies_are_the_published_ones() {
    let dev = FluxConfig::named("flux1-dev").unwrap();
    let topology = dev.topology(Canvas::default());
    assert_eq!(topology, Topology::named("flux1-dev-1024-projected").unwrap());
    assert_eq!(format!("{:.2}", topology.full_flops() / 1e12), "74.38");
    let canvas = Canvas::from_pixels(1024, 1024, 512).unwrap();
    assert_eq!(canvas, Canvas::default());
    assert_eq!(dev.shape(canvas), FluxShape::dev(1024).with_single_feature(SingleFeature::Projected));
    let name = |height, width, text| {
        let canvas = Canvas::from_pixels(height, width, text).unwrap();
        FluxConfig::named("flux1-schnell").unwrap().topology(canvas).model
    };
    assert_eq!(name(512, 512, 256), "flux1-schnell-512-t256-projected");
    assert_eq!(name(768, 1360, 512), "flux1-schnell-768x1360-projected");
    for (height, width, text, says) in [
        (1000, 1024, 512, "'height' is 1000, expected a multiple of 16"),
        (1024, 0, 512, "'width' is 0, expected a multiple of 16"),
        (1024, 32_768, 512, "'width' is 32768, expected a multiple of 16 from 16 to 16384"),
        (1024, 1024, 5000, "'text_tokens' is 5000, expected at most 4096"),
    ] {
        let error = Canvas::from_pixels(height, width, text).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(model(FILES[0]).topology().model, "flux-2+3x48-64x96-t7-projected");
}
