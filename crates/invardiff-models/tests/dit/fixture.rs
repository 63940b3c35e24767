//! Reading and rewriting the stored tensors of `tests/data`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

pub(crate) fn device() -> Device {
    Device::flex()
}

/// A file or folder of `tests/data`.
pub(crate) fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

/// One stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn f32(shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    pub(crate) fn zeros(shape: &[usize]) -> Self {
        Self::f32(shape, &vec![0.0; shape.iter().product()])
    }

    fn floats(&self) -> Vec<f32> {
        assert_eq!(self.dtype, Dtype::F32);
        self.bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    fn ints(&self) -> Vec<i64> {
        assert_eq!(self.dtype, Dtype::I64);
        self.bytes.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

/// A safetensors file in memory.
#[derive(Clone, Debug)]
pub(crate) struct Dump(pub(crate) BTreeMap<String, Stored>);

impl Dump {
    pub(crate) fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let stored = file.tensors().into_iter().map(|(key, view)| {
            let (dtype, shape, bytes) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            (key, Stored { dtype, shape, bytes })
        });
        Self(stored.collect())
    }

    pub(crate) fn tensor<const D: usize>(&self, key: &str) -> Tensor<D> {
        let stored = &self.0[key];
        Tensor::from_data(TensorData::new(stored.floats(), stored.shape.clone()), &device())
    }

    pub(crate) fn flat(&self, key: &str) -> Tensor<1> {
        Tensor::from_data(self.0[key].floats().as_slice(), &device())
    }

    pub(crate) fn ints(&self, key: &str) -> Vec<i64> {
        self.0[key].ints()
    }

    pub(crate) fn labels(&self, key: &str) -> Tensor<1, Int> {
        let labels = self.ints(key);
        let count = labels.len();
        Tensor::from_data(TensorData::new(labels, [count]), &device())
    }

    pub(crate) fn times(&self, key: &str) -> Tensor<1> {
        let times: Vec<f32> = self.ints(key).into_iter().map(|t| t as f32).collect();
        let count = times.len();
        Tensor::from_data(TensorData::new(times, [count]), &device())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let views = self.0.iter().map(|(key, stored)| {
            (key, TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.bytes()).unwrap();
    }
}

/// The largest absolute difference.
pub(crate) fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The largest absolute value.
pub(crate) fn largest<const D: usize>(a: Tensor<D>) -> f32 {
    values(a).into_iter().map(f32::abs).fold(0.0, f32::max)
}

pub(crate) fn values<const D: usize>(a: Tensor<D>) -> Vec<f32> {
    a.into_data().try_into_vec_as::<f32>().unwrap()
}

/// The values bit by bit, so that NaN and the sign of zero count.
pub(crate) fn bits<const D: usize>(a: Tensor<D>) -> Vec<u32> {
    values(a).into_iter().map(f32::to_bits).collect()
}

/// Prints what was measured (seen with `--nocapture`) and holds it to its tolerance.
pub(crate) fn within(what: &str, error: f32, tolerance: f32) {
    println!("{what}: {error:.2e} (tolerance {tolerance:.0e})");
    assert!(error <= tolerance, "{what}: {error:e} is above {tolerance:e}");
}

/// The manifest's number under `key`.
pub(crate) fn manifest(folder: &str, key: &str) -> f64 {
    let text = std::fs::read_to_string(data(folder).join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest[key].as_f64().unwrap()
}
