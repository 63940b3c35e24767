//! Reading the tensors of any file.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;

use super::checkpoint::Checkpoint;
use super::error::LoadError;

/// The weights of a file by name as the loaders read them: quantised ones as floats, times their scales, which are left out. Meant
/// for small files: everything is read.
///
/// # Errors
/// As [`read_tensors`].
pub fn read_weights(path: impl AsRef<Path>) -> Result<BTreeMap<String, TensorData>, LoadError> {
    let mut checkpoint = Checkpoint::open(path.as_ref())?;
    checkpoint.take_scales();
    all(&checkpoint)
}

/// All tensors of a safetensors or PyTorch file by name, in the file's element types; nested dictionaries give names with dots.
/// Meant for small files: everything is read.
///
/// # Errors
/// [`LoadError::Format`] names a file that is truncated or has another format.
pub fn read_tensors(path: impl AsRef<Path>) -> Result<BTreeMap<String, TensorData>, LoadError> {
    all(&Checkpoint::open(path.as_ref())?)
}

fn all(checkpoint: &Checkpoint) -> Result<BTreeMap<String, TensorData>, LoadError> {
    let keys: Vec<String> = checkpoint.keys().map(str::to_owned).collect();
    keys.into_iter()
        .map(|key| {
            let data = checkpoint.read(&key)?;
            Ok((key, data))
        })
        .collect()
}
