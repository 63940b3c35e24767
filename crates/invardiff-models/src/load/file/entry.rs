//! Tensors that are stored and not yet read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use burn::tensor::TensorData;
use burn_store::bridge;
use burn_store::burn_pack::Tensor as Packed;

use crate::load::element::Element;

/// Unread tensors by key.
pub(crate) type Entries = BTreeMap<String, Entry>;

/// A tensor that is stored and not yet read.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Its shape.
    pub(in crate::load) shape: Vec<usize>,
    /// Its element type.
    pub(in crate::load) element: Element,
    stored: Stored,
}

/// Where the bytes are.
#[derive(Clone)]
enum Stored {
    File {
        path: Arc<Path>,
        offset: u64,
        length: u64,
    },
    Memory {
        bytes: Arc<[u8]>,
        offset: usize,
        length: usize,
    },
    /// In a PyTorch file.
    Packed(Packed),
}

impl Entry {
    /// A tensor in a file.
    pub(super) fn in_file(
        path: Arc<Path>,
        offset: u64,
        length: u64,
        element: Element,
        shape: Vec<usize>,
    ) -> Self {
        Self { shape, element, stored: Stored::File { path, offset, length } }
    }

    /// A tensor in memory.
    pub(super) fn in_memory(
        bytes: Arc<[u8]>,
        offset: usize,
        length: usize,
        element: Element,
        shape: Vec<usize>,
    ) -> Self {
        Self { shape, element, stored: Stored::Memory { bytes, offset, length } }
    }

    /// A tensor of a PyTorch file.
    pub(super) fn packed(tensor: Packed) -> Self {
        let (shape, element) = (tensor.shape.to_vec(), Element::Plain(tensor.dtype));
        Self { shape, element, stored: Stored::Packed(tensor) }
    }

    /// The values: plain types as they are stored, quantised ones in f32.
    pub(in crate::load) fn read(&self) -> Result<TensorData, String> {
        let bytes = match &self.stored {
            Stored::File { path, offset, length } => {
                read(path, *offset, *length as usize).map_err(|error| error.to_string())?
            }
            Stored::Memory { bytes, offset, length } => bytes[*offset..*offset + *length].to_vec(),
            Stored::Packed(tensor) => return bridge::to_data(tensor).map_err(|error| error.to_string()),
        };
        self.element.decode(bytes, &self.shape)
    }
}

fn read(path: &Path, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
