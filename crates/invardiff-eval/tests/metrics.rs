//! PSNR, SSIM and LPIPS against values of PyTorch, pytorch-msssim and lpips on 8-bit images.

use std::path::PathBuf;

use burn::tensor::Device;
use invardiff_eval::{Backbone, EvalError, Lpips, Weights, formula_weights, psnr, psnr_each, ssim};
use ndarray::{Array3, Axis};
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    seed: u64,
    results: Vec<Expected>,
    lpips: Nets,
}

#[derive(Deserialize)]
struct Expected {
    index: usize,
    psnr_reference: f64,
    ssim_pytorch_msssim: f64,
    lpips_squeeze_formula_weights: f64,
    lpips_squeeze_per_layer: Vec<f64>,
    lpips_alex_formula_weights: f64,
    lpips_alex_per_layer: Vec<f64>,
}

#[derive(Deserialize)]
struct Nets {
    nets: std::collections::BTreeMap<String, Net>,
}

#[derive(Deserialize)]
struct Net {
    order: Vec<String>,
    shapes: std::collections::BTreeMap<String, Vec<usize>>,
}

impl Net {
    fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        self.order.iter().map(|key| (key.clone(), self.shapes[key].clone())).collect()
    }
}

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/metrics").join(name)
}

fn manifest() -> Manifest {
    serde_json::from_slice(&std::fs::read(data("manifest.json")).unwrap()).unwrap()
}

fn pair(index: usize) -> [Array3<u8>; 2] {
    let bytes = std::fs::read(data("images.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    ["a", "b"].map(|side| {
        let view = file.tensor(&format!("{side}{index}")).unwrap();
        let shape: [usize; 3] = view.shape().try_into().unwrap();
        Array3::from_shape_vec(shape, view.data().to_vec()).unwrap()
    })
}

fn floats(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(data("images.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn psnr_and_ssim_match_the_references() {
    for expected in manifest().results {
        let [a, b] = pair(expected.index);
        let found = psnr(a.view(), b.view()).unwrap();
        assert!((found - expected.psnr_reference).abs() < 1e-4, "{}: {found}", expected.index);
        let found = ssim(a.view(), b.view()).unwrap();
        assert!((found - expected.ssim_pytorch_msssim).abs() < 1e-5, "{}: {found}", expected.index);
        let (a, b) = (a.mapv(|v| f32::from(v) / 255.0), b.mapv(|v| f32::from(v) / 255.0));
        let found = ssim(a.view(), b.view()).unwrap();
        assert!((found - expected.ssim_pytorch_msssim).abs() < 1e-5, "{} as f32: {found}", expected.index);
        let batch = psnr_each(a.insert_axis(Axis(0)).view(), b.insert_axis(Axis(0)).view()).unwrap();
        assert!((batch[0] - expected.psnr_reference).abs() < 1e-4, "{} as a batch", expected.index);
    }
}

/// Float32 in another order of summation: 1e-5 relative, 1e-8 absolute for values near 0.
fn near(found: f64, expected: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(
        error < (1e-5 * expected.abs()).max(1e-8),
        "{what}: {found} instead of {expected}, off by {error:e}"
    );
}

fn lpips_matches(backbone: Backbone, name: &str, expected: impl Fn(&Expected) -> (f64, Vec<f64>)) {
    let manifest = manifest();
    let parameters = manifest.lpips.nets[name].parameters();
    assert_eq!(parameters, backbone.parameters());
    let weights = formula_weights(&parameters, manifest.seed);
    let firsts: Vec<f32> =
        parameters.iter().flat_map(|(key, _)| weights.values(key).unwrap()[..3].to_vec()).collect();
    assert_eq!(firsts, floats(&format!("{name}.check")));
    let lpips = Lpips::new(backbone, weights, &Device::flex()).unwrap();
    for result in &manifest.results {
        let [a, b] = pair(result.index).map(|x| x.mapv(|v| f32::from(v) / 127.5 - 1.0).insert_axis(Axis(0)));
        let (distance, per_layer) = expected(result);
        let layers = lpips.layers(a.view(), b.view()).unwrap();
        assert_eq!(layers.shape(), [1, per_layer.len()]);
        for (layer, (found, expected)) in layers.iter().zip(per_layer).enumerate() {
            near(*found, expected, &format!("{name}, pair {}, layer {layer}", result.index));
        }
        near(lpips.distances(a.view(), b.view()).unwrap()[0], distance, name);
    }
}

#[test]
fn lpips_alex_matches_the_reference() {
    lpips_matches(Backbone::Alex, "alex", |result| {
        (result.lpips_alex_formula_weights, result.lpips_alex_per_layer.clone())
    });
}

#[test]
fn lpips_squeeze_matches_the_reference() {
    lpips_matches(Backbone::Squeeze, "squeeze", |result| {
        (result.lpips_squeeze_formula_weights, result.lpips_squeeze_per_layer.clone())
    });
}

#[test]
fn a_grey_batch_is_compared_as_its_three_equal_channels() {
    let [a, b] = pair(2).map(|x| x.mapv(|v| f32::from(v) / 127.5 - 1.0).insert_axis(Axis(0)));
    let grey = |x: &ndarray::Array4<f32>| x.slice_axis(Axis(1), (0..1).into()).to_owned();
    let wide = |x: &ndarray::Array4<f32>| x.broadcast((1, 3, 64, 64)).unwrap().to_owned();
    let weights = formula_weights(&Backbone::Squeeze.parameters(), 5);
    let lpips = Lpips::new(Backbone::Squeeze, weights, &Device::flex()).unwrap();
    let (a, b) = (grey(&a), grey(&b));
    let expected = lpips.distances(wide(&a).view(), wide(&b).view()).unwrap();
    assert_eq!(lpips.distances(a.view(), b.view()).unwrap(), expected);
    assert!(expected[0] > 0.0);
    let small = ndarray::Array4::<f32>::zeros((1, 3, 24, 30));
    assert!(matches!(
        lpips.distances(small.view(), small.view()),
        Err(EvalError::TooSmall { minimum: 25, .. })
    ));
}

fn save(path: &std::path::Path, parameters: &[(String, Vec<usize>)], weights: &Weights) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = parameters
        .iter()
        .map(|(key, shape)| {
            let bytes = weights.values(key).unwrap().iter().flat_map(|v| v.to_le_bytes()).collect();
            (key.clone(), shape.clone(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(key, shape, bytes)| {
        (key, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_weight_file_loads_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("squeeze.safetensors");
    let mut parameters = Backbone::Squeeze.parameters();
    parameters.push(("scaling_layer.shift".into(), vec![1, 3, 1, 1]));
    let weights = formula_weights(&parameters, 9);
    save(&path, &parameters, &weights);
    let loaded = Lpips::load(&path, Backbone::Squeeze, &Device::flex()).unwrap();
    parameters.pop();
    let direct = Lpips::new(Backbone::Squeeze, formula_weights(&parameters, 9), &Device::flex()).unwrap();
    let [a, b] = pair(1).map(|x| x.mapv(|v| f32::from(v) / 127.5 - 1.0).insert_axis(Axis(0)));
    assert_eq!(loaded.layers(a.view(), b.view()).unwrap(), direct.layers(a.view(), b.view()).unwrap());

    parameters.remove(0);
    parameters[0].1 = vec![1, 64, 2, 1];
    parameters.push(("extra.weight".into(), vec![2]));
    let path = folder.path().join("broken.safetensors");
    save(&path, &parameters, &formula_weights(&parameters, 9));
    let message = Lpips::load(&path, Backbone::Squeeze, &Device::flex()).unwrap_err().to_string();
    for part in [
        "broken.safetensors",
        "'lin0.model.1.weight' is missing",
        "'lin1.model.1.weight' has shape [1, 64, 2, 1], expected [1, 128, 1, 1]",
        "'extra.weight' is not used",
    ] {
        assert!(message.contains(part), "{part} not in {message}");
    }
    std::fs::write(&path, b"no tensors").unwrap();
    let message = Lpips::load(&path, Backbone::Squeeze, &Device::flex()).unwrap_err().to_string();
    assert!(message.contains("broken.safetensors"), "{message}");
}
