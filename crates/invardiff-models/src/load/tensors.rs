//! The tensors of a file that is no model.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;

use super::LoadError;
use super::checkpoint::Checkpoint;

/// All tensors of a safetensors or PyTorch file by name, as they are stored; dictionaries inside of dictionaries make names
/// with dots. Meant for small files: everything is read.
///
/// # Errors
/// [`LoadError::Format`] names the file that is truncated, foreign or of another extension.
pub fn read_tensors(path: impl AsRef<Path>) -> Result<BTreeMap<String, TensorData>, LoadError> {
    let checkpoint = Checkpoint::open(path.as_ref())?;
    let keys: Vec<String> = checkpoint.keys().map(str::to_owned).collect();
    keys.into_iter()
        .map(|key| {
            let data = checkpoint.read(&key)?;
            Ok((key, data))
        })
        .collect()
}
