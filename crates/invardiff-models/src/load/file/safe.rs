//! Safetensors files, a tensor at a time.
//!
//! burn-store maps the whole file into memory, so that its pages count as memory in addition to the weights. Here the bytes of a tensor are read
//! on demand, so loading takes little more memory than the model itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{BoolStore, DType};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::entry::{Entries, Entry};
use crate::load::element::Element;

/// The largest header that is read (8 MiB): some 80 000 tensors. The format's own library allows 100 MB, from which
/// long lists of dimensions would take gigabytes of memory.
const LARGEST_HEADER: u64 = 8 << 20;
/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;
/// Size of the header's length field in bytes.
const PREFIX: u64 = 8;

/// The tensors of a file, unread. The file must be as long as its header says.
pub(super) fn open(path: &Path) -> Result<Entries, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let (metadata, start) = header(&mut file, length)?;
    let path: Arc<Path> = path.into();
    let tensors = metadata.tensors().into_iter();
    Ok(tensors
        .map(|(name, info)| {
            let (from, to) = info.data_offsets;
            let (offset, length) = (start + from as u64, (to - from) as u64);
            (name, Entry::in_file(path.clone(), offset, length, element(info.dtype), info.shape.clone()))
        })
        .collect())
}

/// The tensors of a file in memory.
pub(super) fn open_bytes(bytes: &[u8]) -> Result<Entries, String> {
    let (metadata, start) = header(&mut &*bytes, bytes.len() as u64)?;
    let shared: Arc<[u8]> = bytes.into();
    let tensors = metadata.tensors().into_iter();
    Ok(tensors
        .map(|(name, info)| {
            let ((from, to), start) = (info.data_offsets, start as usize);
            let element = element(info.dtype);
            (name, Entry::in_memory(shared.clone(), start + from, to - from, element, info.shape.clone()))
        })
        .collect())
}

/// The free-form metadata in a file's header, by name.
pub(crate) fn remarks(path: &Path) -> Result<HashMap<String, String>, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    Ok(header(&mut file, length)?.0.metadata().clone().unwrap_or_default())
}

/// The header, and where the tensors' bytes begin.
fn header(file: &mut impl Read, length: u64) -> Result<(Metadata, u64), String> {
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix).map_err(|_| format!("{length} bytes are too few"))?;
    let header = u64::from_le_bytes(prefix);
    if header > LARGEST_HEADER || header > length - PREFIX {
        return Err(format!("a header of {header} bytes is announced, in a file of {length}"));
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(|error| error.to_string())?;
    let metadata: Metadata =
        serde_json::from_slice(&text).map_err(|error| format!("in the header: {error}"))?;
    for (name, info) in metadata.tensors() {
        let dimensions = info.shape.len();
        if dimensions > MOST_DIMENSIONS {
            return Err(format!("'{name}' has {dimensions} dimensions, expected at most {MOST_DIMENSIONS}"));
        }
    }
    let start = PREFIX + header;
    let expected = start + metadata.data_len() as u64;
    if expected != length {
        return Err(format!("the file has {length} bytes, its header says {expected}"));
    }
    Ok((metadata, start))
}

/// Types without an equivalent here are an error only for tensors that are read.
fn element(dtype: Dtype) -> Element {
    Element::Plain(match dtype {
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
        Dtype::F8_E4M3 => return Element::F8E4M3,
        Dtype::F8_E5M2 => return Element::F8E5M2,
        Dtype::F8_E8M0 => return Element::Unknown("float8_e8m0"),
        Dtype::F4 => return Element::Unknown("float4"),
        Dtype::F6_E2M3 => return Element::Unknown("float6_e2m3"),
        Dtype::F6_E3M2 => return Element::Unknown("float6_e3m2"),
        Dtype::C64 => return Element::Unknown("complex64"),
        _ => return Element::Unknown("of an unknown safetensors name"),
    })
}
