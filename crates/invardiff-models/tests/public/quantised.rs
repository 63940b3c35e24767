//! Weights of 8 bits and GGUF files, against what reference decoders give.

use burn::tensor::{DType, Tensor};
use invardiff_models::{LoadError, LoadOptions, T5Config, T5Encoder, read_tensors};
use safetensors::Dtype;

use crate::fixture::{Dump, Stored, bits, data, device};
use crate::tiny::{Folder, drawn, floats, load, public, refusal, values};

#[test]
fn blocks_of_every_type_are_those_of_the_reference() {
    let found = read_tensors(public("blocks.gguf")).unwrap();
    let expected = Dump::open(&public("blocks.safetensors"));
    assert_eq!(found.len(), 13);
    for (name, data) in found {
        let values: Vec<u32> = data.iter::<f32>().map(f32::to_bits).collect();
        let expected: Vec<u32> =
            expected.0[&name].bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        assert_eq!(values, expected, "{name}");
    }
}

#[test]
fn a_flux_in_gguf_is_the_same_as_its_numbers() {
    let folder = Folder::new();
    let expected =
        bits(drawn(&folder.copy(&public("flux.safetensors"), "a.safetensors"), &LoadOptions::default()));
    // The format is told by the first bytes, not by the ending.
    for name in ["flux1-dev-Q8_0.gguf", "model.bin", "model"] {
        let path = folder.copy(&public("flux.gguf"), name);
        let loaded = load(&path, &LoadOptions::default()).unwrap();
        assert!(loaded.notes[0].contains("weights of type Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 are read as floats"));
        assert_eq!(loaded.sha256.len(), 64);
        assert_eq!(bits(crate::tiny::output(loaded.model)), expected, "{name}");
    }
}

#[test]
fn a_t5_in_gguf_needs_no_configuration() {
    let config = std::fs::read_to_string(data("text_tiny/t5_config.json")).unwrap();
    let config = T5Config::from_json(&config).unwrap();
    let bytes = std::fs::read(public("t5.safetensors")).unwrap();
    let expected = T5Encoder::from_bytes(&bytes, &config, &device()).unwrap();
    let found = T5Encoder::load(public("t5.gguf"), &device()).unwrap();
    assert_eq!(*found.config(), config);
    let ids = expected.ids(&[&[5, 9, 11, 1]]).unwrap();
    assert_eq!(bits(found.forward(ids.clone())), bits(expected.forward(ids)));
}

/// `float8_e4m3fn` by its definition: sign, four bits of exponent with bias 7, three of mantissa.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from((byte >> 3) & 15), f32::from(byte & 7) / 8.0);
    let value = match exponent {
        0 => mantissa * 2f32.powi(-6),
        _ => (1.0 + mantissa) * 2f32.powi(exponent - 7),
    };
    if byte & 0x80 == 0 { value } else { -value }
}

/// `float8_e5m2`: five bits of exponent with bias 15, two of mantissa.
fn e5m2(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from((byte >> 2) & 31), f32::from(byte & 3) / 4.0);
    let value = match exponent {
        0 => mantissa * 2f32.powi(-14),
        _ => (1.0 + mantissa) * 2f32.powi(exponent - 15),
    };
    if byte & 0x80 == 0 { value } else { -value }
}

/// The weights in f32, those of 8 bits times their scale.
fn by_hand(dump: &Dump, decode: fn(u8) -> f32) -> Dump {
    let mut plain = Dump(std::collections::BTreeMap::new());
    for (key, stored) in &dump.0 {
        if key.ends_with(".scale_weight") || key == "scaled_fp8" {
            continue;
        }
        let scale = dump.0.get(&key.replace(".weight", ".scale_weight")).filter(|_| key.ends_with(".weight"));
        let scale = scale.map_or(1.0, |scale| values(scale)[0]);
        let found: Vec<f32> = match stored.dtype {
            Dtype::F8_E4M3 | Dtype::F8_E5M2 => {
                stored.bytes.iter().map(|byte| decode(*byte) * scale).collect()
            }
            _ => values(stored),
        };
        plain.0.insert(key.clone(), Stored::f32(&stored.shape, &found));
    }
    plain
}

#[test]
fn weights_of_8_bits_are_their_numbers_with_and_without_scales() {
    let folder = Folder::new();
    for name in ["flux1-dev-fp8.safetensors", "flux1-dev-fp8-scaled.safetensors"] {
        let path = folder.copy(&public(&format!("model/{name}")), name);
        let plain = folder.write("plain.safetensors", &by_hand(&Dump::open(&path), e4m3));
        let expected = bits(drawn(&plain, &LoadOptions::default()));
        assert_eq!(bits(drawn(&path, &LoadOptions::default())), expected, "{name}");
        // The other spelling of scales, one per row, and the other kind of float.
        let mut dump = Dump::open(&path);
        dump.0 = dump
            .0
            .into_iter()
            .map(|(key, stored)| match key.strip_suffix(".scale_weight") {
                Some(stem) => {
                    let rows = dump_rows(&path, stem);
                    let scale = values(&stored)[0];
                    (format!("{stem}.weight_scale"), Stored::f32(&[rows, 1], &vec![scale; rows]))
                }
                None => (key, stored),
            })
            .collect();
        let other = folder.write("rows.safetensors", &dump);
        assert_eq!(bits(drawn(&other, &LoadOptions::default())), expected, "{name}, weight_scale");
    }
    let mut dump = Dump::open(&public("model/flux1-dev-fp8.safetensors"));
    for stored in dump.0.values_mut() {
        stored.dtype = Dtype::F8_E5M2;
        // Small exponents, so that no value is infinite.
        stored.bytes.iter_mut().for_each(|byte| *byte = *byte & 0x83 | 0x30);
    }
    let path = folder.write("e5m2.safetensors", &dump);
    let plain = folder.write("plain.safetensors", &by_hand(&dump, e5m2));
    let [found, expected] = [&path, &plain].map(|path| bits(drawn(path, &LoadOptions::default())));
    assert_eq!(found, expected);
}

fn dump_rows(path: &std::path::Path, stem: &str) -> usize {
    Dump::open(path).0[&format!("{stem}.weight")].shape[0]
}

/// What is not read does not matter; what is read must be a float.
#[test]
fn types_matter_for_tensors_that_are_read() {
    let folder = Folder::new();
    let base = floats(&public("model/flux1-dev-fp8.safetensors"));
    let expected = bits(drawn(&folder.write("a.safetensors", &base), &LoadOptions::default()));
    let mut whole =
        Dump(base.0.iter().map(|(k, v)| (format!("model.diffusion_model.{k}"), v.clone())).collect());
    let other = Stored { dtype: Dtype::F8_E8M0, shape: vec![2], bytes: vec![1, 2] };
    whole.0.insert("text_encoders.t5xxl.transformer.x.weight".into(), other.clone());
    let path = folder.write("b.safetensors", &whole);
    assert_eq!(bits(drawn(&path, &LoadOptions::default())), expected);
    let mut bad = base;
    bad.0.insert("img_in.bias".into(), Stored { shape: vec![32], bytes: vec![0; 32], ..other });
    let message = refusal(&folder.write("c.safetensors", &bad));
    assert!(message.contains("not a float: img_in.bias, found elements of type float8_e8m0"), "{message}");
}

#[test]
fn other_quantisations_are_named_in_one_line() {
    let folder = Folder::new();
    let base = floats(&public("model/flux1-dev-fp8.safetensors"));
    for (mark, says) in [
        (
            "weight.quant_state.bitsandbytes__nf4",
            "quantised by bitsandbytes (NF4), which is not read here: take the same",
        ),
        ("SCB", "quantised by bitsandbytes (LLM.int8)"),
        ("wscales", "quantised by SVDQuant (Nunchaku)"),
        ("weight_scale_2", "quantised by NVFP4"),
    ] {
        let mut dump = base.clone();
        dump.0.insert(
            "double_blocks.0.img_mlp.0.weight".into(),
            Stored { dtype: Dtype::U8, shape: vec![2048, 1], bytes: vec![0; 2048] },
        );
        dump.0.insert(format!("double_blocks.0.img_mlp.0.{mark}"), Stored::zeros(&[4]));
        let message = refusal(&folder.write("nf4.safetensors", &dump));
        assert!(message.contains(says) && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    let folder = Folder::new();
    let base = floats(&public("model/flux1-dev-fp8.safetensors"));
    let key = "double_blocks.0.img_mlp.2.weight";
    for bad in [f32::NAN, f32::INFINITY] {
        let mut dump = base.clone();
        let mut found = values(&dump.0[key]);
        found[7] = bad;
        dump.0.insert(key.into(), Stored::f32(&[32, 128], &found));
        let path = folder.write("nan.safetensors", &dump);
        let error = load(&path, &LoadOptions::default()).unwrap_err();
        assert!(matches!(&error, LoadError::NotFinite { key: found, .. } if found == key), "{error}");
        assert!(
            error.to_string().contains("the value at index 7 of shape [32, 128] is NaN or infinite"),
            "{error}"
        );
    }
    // Within f32 and bf16, but beyond f16.
    let mut dump = base;
    let found: Vec<f32> = values(&dump.0[key]).iter().map(|value| value * 1e7).collect();
    dump.0.insert(key.into(), Stored::f32(&[32, 128], &found));
    let path = folder.write("large.safetensors", &dump);
    load(&path, &LoadOptions::default().with_dtype(DType::BF16)).unwrap();
    let error = load(&path, &LoadOptions::default().with_dtype(DType::F16)).unwrap_err().to_string();
    assert!(
        error.contains(key) && error.contains("beyond the range of f16") && error.contains("as bf16"),
        "{error}"
    );
    let _: Tensor<3> = drawn(&path, &LoadOptions::default());
}
