//! The arrays of a fixture.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_plan::files;
use ndarray::{ArrayD, IxDyn};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, SafeTensors, TensorInfo};

use crate::error::{Context, Result, ensure, unfit};

/// A safetensors file in memory, read one array at a time.
pub(crate) struct Arrays {
    /// The file's name in its folder.
    pub(crate) file: String,
    bytes: Vec<u8>,
    start: usize,
    metadata: Metadata,
}

impl Arrays {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read or is not a safetensors file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = files::read(path, files::TENSORS_LIMIT).with_context(|| file.clone())?;
        let (header, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| unfit!("{file}: no whole safetensors file: {error}"))?;
        // The length of the header stands before it, in 8 bytes.
        Ok(Self { file, bytes, start: header + 8, metadata })
    }

    /// Whether there is an array of this name.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.metadata.info(key).is_some()
    }

    /// All names, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.metadata.tensors().into_keys().collect();
        keys.sort_unstable();
        keys
    }

    /// The names with this prefix, without the prefix; sorted.
    pub(crate) fn under(&self, prefix: &str) -> Vec<String> {
        self.keys().iter().filter_map(|key| key.strip_prefix(prefix).map(str::to_owned)).collect()
    }

    /// The shape of an array.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn shape(&self, key: &str) -> Result<&[usize]> {
        Ok(&self.info(key)?.shape)
    }

    /// Reads an array of numbers or booleans as f64; exact for f32, f64 and integers up to 2^53.
    ///
    /// # Errors
    /// When there is none of this name, or its elements have another type.
    pub(crate) fn get(&self, key: &str) -> Result<ArrayD<f64>> {
        let info = self.info(key)?;
        let (from, to) = info.data_offsets;
        let bytes = &self.bytes[self.start + from..self.start + to];
        let values: Vec<f64> = match info.dtype {
            Dtype::F64 => bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            Dtype::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect(),
            Dtype::I64 => bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
            Dtype::I32 => bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect(),
            Dtype::U8 | Dtype::BOOL => bytes.iter().map(|byte| f64::from(*byte)).collect(),
            other => {
                return Err(unfit!(
                    "{}: '{key}' has elements of type {other:?}; read are F64, F32, I64, I32, U8 and BOOL",
                    self.file
                ));
            }
        };
        ArrayD::from_shape_vec(IxDyn(&info.shape), values).with_context(|| format!("{}: '{key}'", self.file))
    }

    /// Reads an array of this many axes.
    ///
    /// # Errors
    /// As [`Arrays::get`], and when it has other axes.
    pub(crate) fn with_axes(&self, key: &str, axes: usize) -> Result<ArrayD<f64>> {
        let found = self.shape(key)?;
        ensure!(found.len() == axes, "{}: '{key}' has shape {found:?}, expected {axes} axes", self.file);
        self.get(key)
    }

    /// Reads an array of this shape.
    ///
    /// # Errors
    /// As [`Arrays::get`], and when it has another shape.
    pub(crate) fn shaped(&self, key: &str, shape: &[usize]) -> Result<ArrayD<f64>> {
        let found = self.shape(key)?;
        ensure!(found == shape, "{}: '{key}' has shape {found:?}, expected {shape:?}", self.file);
        self.get(key)
    }

    /// Reads an array of this shape onto the device, in f32.
    ///
    /// # Errors
    /// As [`Arrays::shaped`].
    pub(crate) fn tensor<const D: usize>(
        &self,
        key: &str,
        shape: [usize; D],
        device: &Device,
    ) -> Result<Tensor<D>> {
        let values: Vec<f32> = self.shaped(key, &shape)?.iter().map(|value| *value as f32).collect();
        Ok(Tensor::from_data(TensorData::new(values, shape), (device, DType::F32)))
    }

    /// Reads a list of non-negative integers.
    ///
    /// # Errors
    /// As [`Arrays::with_axes`] with one axis, and when a value is not such an integer.
    pub(crate) fn indices(&self, key: &str) -> Result<Vec<usize>> {
        let integer = |value: &f64| {
            let whole = *value >= 0.0 && value.fract() == 0.0 && *value < 9e15;
            ensure!(whole, "{}: '{key}' has {value}, expected integers from 0 on", self.file);
            Ok(*value as usize)
        };
        self.with_axes(key, 1)?.iter().map(integer).collect()
    }

    /// Reads booleans, stored as bytes.
    ///
    /// # Errors
    /// As [`Arrays::get`], and when a value is neither 0 nor 1.
    pub(crate) fn flags(&self, key: &str) -> Result<ArrayD<bool>> {
        let values = self.get(key)?;
        let other = values.iter().find(|value| **value != 0.0 && **value != 1.0);
        ensure!(other.is_none(), "{}: '{key}' has {}, expected 0 and 1", self.file, other.unwrap_or(&0.0));
        Ok(values.mapv(|value| value != 0.0))
    }

    fn info(&self, key: &str) -> Result<&TensorInfo> {
        self.metadata.info(key).ok_or_else(|| unfit!("{}: '{key}' is missing", self.file))
    }
}
