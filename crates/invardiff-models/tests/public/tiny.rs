//! The tiny FLUX of `tests/data/public`, in files of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Distribution, Tensor, TensorData};
use invardiff_models::{Canvas, Flux, LoadError, LoadOptions, Loaded, read_tensors};
use invardiff_runtime::Full;
use tempfile::TempDir;

use crate::fixture::{Dump, Stored, data, device};

/// A file of `tests/data/public`.
pub(crate) fn public(path: &str) -> PathBuf {
    data("public").join(path)
}

/// The tensors of a file in f32.
pub(crate) fn floats(path: &Path) -> Dump {
    let stored = read_tensors(path).unwrap().into_iter().map(|(key, data)| {
        let shape = data.shape().to_vec();
        let values: Vec<f32> = data.iter::<f32>().collect();
        (key, Stored::f32(&shape, &values))
    });
    Dump(stored.collect::<BTreeMap<_, _>>())
}

/// The values of a tensor.
pub(crate) fn values(stored: &Stored) -> Vec<f32> {
    stored.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// A folder with the configuration of the tiny FLUX and a file of weights.
pub(crate) struct Folder {
    pub(crate) folder: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(public("model/config.json"), folder.path().join("config.json")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, dump: &Dump) -> PathBuf {
        dump.write(&self.path(name));
        self.path(name)
    }

    pub(crate) fn copy(&self, from: &Path, name: &str) -> PathBuf {
        std::fs::copy(from, self.path(name)).unwrap();
        self.path(name)
    }
}

pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<Loaded<Flux>, LoadError> {
    Flux::load_with(path, options, &device())
}

pub(crate) fn refusal(path: &Path) -> String {
    load(path, &LoadOptions::default()).unwrap_err().to_string()
}

/// What the model makes of fixed inputs.
pub(crate) fn output(flux: Flux) -> Tensor<3> {
    let flux = flux.with_canvas(Canvas { rows: 2, columns: 3, text_tokens: 5 });
    let config = flux.config().clone();
    let wave = |shape: [usize; 3]| {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin()).collect();
        Tensor::<3>::from_data(TensorData::new(values, shape), (&device(), DType::F32))
    };
    let pooled = wave([1, 1, config.pooled_projection_dim]).reshape([1, config.pooled_projection_dim]);
    let cond = flux.cond(wave([1, 5, config.joint_attention_dim]), pooled, Some(3.5)).unwrap();
    let t = Tensor::full([1], 0.6, (&device(), DType::F32));
    flux.forward(&mut Full, wave([1, 6, config.in_channels]).cast(flux.dtype()), t, &cond).cast(DType::F32)
}

/// What the weights at a path make of fixed inputs.
pub(crate) fn drawn(path: &Path, options: &LoadOptions) -> Tensor<3> {
    output(load(path, options).unwrap().model)
}

/// Values of a matrix that are not all alike, the same for the same seed.
pub(crate) fn wave(seed: usize, rows: usize, columns: usize) -> Stored {
    let values: Vec<f32> =
        (0..rows * columns).map(|i| 0.2 * ((i * 7 + seed * 13) as f32 * 0.37).sin()).collect();
    Stored::f32(&[rows, columns], &values)
}

#[test]
fn the_inputs_matter() {
    let flux = public("model/flux1-dev-fp8.safetensors");
    let out = drawn(&flux, &LoadOptions::default());
    let noise = Tensor::<3>::random(out.dims(), Distribution::Uniform(0.5, 1.0), &device());
    assert!(crate::fixture::largest(out.clone()) > 0.0 && crate::fixture::difference(out, noise) > 0.0);
}
