//! Safetensors files, a tensor at a time.
//!
//! burn-store maps the whole file into memory, so that its pages count beside the weights. Here the bytes of a tensor are read
//! on demand, so loading takes little more memory than the model itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use burn::tensor::{BoolStore, DType, TensorData};
use burn_store::bridge;
use burn_store::burn_pack::{Error as PackError, Tensor as Entry};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

/// The largest header that is read (8 MiB): some 80 000 tensors. The format's own library takes 100 MB, which lists of nothing
/// but dimensions blow up to gigabytes.
const LARGEST_HEADER: u64 = 8 << 20;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;
/// Size of the header's length field in bytes.
const PREFIX: u64 = 8;

/// The tensors of a file, unread. The file must be as long as its header says.
pub(crate) fn open(path: &Path) -> Result<Vec<Entry>, String> {
    let (metadata, start) = header(path)?;
    let tensors = metadata.tensors();
    tensors.into_iter().map(|(name, info)| entry(path.to_owned(), name, info, start)).collect()
}

/// The free-form metadata in a file's header, by name.
pub(crate) fn remarks(path: &Path) -> Result<HashMap<String, String>, String> {
    Ok(header(path)?.0.metadata().clone().unwrap_or_default())
}

/// The header, and where the tensors' bytes begin.
fn header(path: &Path) -> Result<(Metadata, u64), String> {
    let io = |error: std::io::Error| error.to_string();
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix).map_err(|_| format!("{length} bytes are too few"))?;
    let header = u64::from_le_bytes(prefix);
    if header > LARGEST_HEADER || header > length - PREFIX {
        return Err(format!("a header of {header} bytes is announced, in a file of {length}"));
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(io)?;
    let metadata: Metadata =
        serde_json::from_slice(&text).map_err(|error| format!("in the header: {error}"))?;
    let start = PREFIX + header;
    let expected = start + metadata.data_len() as u64;
    if expected != length {
        return Err(format!("the file has {length} bytes, its header says {expected}"));
    }
    Ok((metadata, start))
}

fn entry(path: PathBuf, name: String, info: &TensorInfo, start: u64) -> Result<Entry, String> {
    let dimensions = info.shape.len();
    if dimensions > MOST_DIMENSIONS {
        return Err(format!("'{name}' has {dimensions} dimensions, expected at most {MOST_DIMENSIONS}"));
    }
    let (shape, (from, to)) = (info.shape.clone(), info.data_offsets);
    let dtype = dtype(info.dtype)
        .ok_or_else(|| format!("'{name}' has elements of type {:?}, which are not supported", info.dtype))?;
    let read = move || {
        let bytes = read(&path, start + from as u64, to - from)
            .map_err(|error| PackError::IoError(error.to_string()))?;
        TensorData::try_from_bytes_vec(bytes, shape.clone(), dtype)
            .map_err(|error| PackError::TensorBytesSizeMismatch(error.to_string()))
    };
    Ok(bridge::deferred(name, dtype, info.shape.clone().into(), None, read))
}

fn read(path: &Path, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}
