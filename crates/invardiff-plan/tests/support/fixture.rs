//! Reads a folder of `tests/data`: arrays with known answers.

use std::path::PathBuf;

use ndarray::ArrayD;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// One folder: its manifest and its arrays.
pub(crate) struct Fixture {
    pub(crate) manifest: serde_json::Value,
    bytes: Vec<u8>,
}

impl Fixture {
    pub(crate) fn open(folder: &str, arrays: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
        let manifest = std::fs::read_to_string(path.join("manifest.json")).unwrap();
        let bytes = std::fs::read(path.join(arrays)).unwrap();
        Self { manifest: serde_json::from_str(&manifest).unwrap(), bytes }
    }

    /// A float32 array.
    pub(crate) fn f32(&self, key: &str) -> ArrayD<f32> {
        self.array(key, Dtype::F32, |view| {
            view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
        })
    }

    /// Booleans, stored as uint8.
    pub(crate) fn bool(&self, key: &str) -> ArrayD<bool> {
        self.array(key, Dtype::U8, |view| view.data().iter().map(|byte| *byte != 0).collect())
    }

    fn array<T>(&self, key: &str, dtype: Dtype, read: impl Fn(&TensorView<'_>) -> Vec<T>) -> ArrayD<T> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(key).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(view.dtype(), dtype, "{key}");
        ArrayD::from_shape_vec(view.shape(), read(&view)).unwrap()
    }
}
