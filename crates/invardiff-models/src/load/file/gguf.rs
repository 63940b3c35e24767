//! GGUF files, the format of llama.cpp.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use burn::tensor::DType;

use super::entry::{Entries, Entry};
use crate::load::element::{BlockType, Element};

/// The settings in a file's header that are numbers or texts, by name. Lists are left out, except for lists of a few whole
/// numbers.
pub(crate) type Settings = BTreeMap<String, Setting>;

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Setting {
    /// A number or a truth value.
    Number(f64),
    /// Text.
    Text(String),
    /// A short list of whole numbers.
    List(Vec<usize>),
}

/// The longest list that is kept.
const LONGEST_LIST: u64 = 8;
/// More axes than this are refused.
const MOST_AXES: u32 = 8;
/// Tensors begin at multiples of this number of bytes unless a setting says otherwise.
const ALIGNMENT: u64 = 32;

/// The tensors of a file, unread, and its settings.
pub(super) fn open(path: &Path) -> Result<(Entries, Settings), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut header = Header { reader: BufReader::new(file), length, position: 0 };
    header.take::<4>()?;
    match header.u32()? {
        2 | 3 => {}
        version => return Err(format!("version {version} of the format, expected 2 or 3")),
    }
    let (tensors, settings) = (header.u64()?, header.u64()?);
    let settings = (0..settings).map(|_| header.setting()).collect::<Result<Vec<_>, _>>()?;
    let settings: Settings = settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let infos = (0..tensors).map(|_| header.info()).collect::<Result<Vec<_>, _>>()?;
    let alignment = match settings.get("general.alignment") {
        Some(Setting::Number(number)) if *number >= 1.0 => *number as u64,
        _ => ALIGNMENT,
    };
    let start = header.position.next_multiple_of(alignment);
    let path: Arc<Path> = path.into();
    let mut entries = Entries::new();
    for info in infos {
        let end = start.checked_add(info.offset).and_then(|from| from.checked_add(info.bytes));
        if end.is_none_or(|end| end > length) {
            return Err(format!(
                "the file has {length} bytes and ends before '{}', which has {}",
                info.name, info.bytes
            ));
        }
        let shape = match settings.get(&format!("comfy.gguf.orig_shape.{}", info.name)) {
            Some(Setting::List(shape)) => shape.clone(),
            _ => info.shape,
        };
        let entry = Entry::in_file(path.clone(), start + info.offset, info.bytes, info.element, shape);
        entries.insert(info.name, entry);
    }
    Ok((entries, settings))
}

/// The header's entry for one tensor.
struct Info {
    name: String,
    shape: Vec<usize>,
    element: Element,
    offset: u64,
    bytes: u64,
}

/// Reads a header from its beginning.
struct Header {
    reader: BufReader<File>,
    length: u64,
    position: u64,
}

impl Header {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.position += bytes.len() as u64;
        self.reader.read_exact(bytes).map_err(|_| format!("the header does not end in {} bytes", self.length))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.u64()?;
        if length > self.length - self.position.min(self.length) {
            return Err(format!("a text of {length} bytes is announced in the header"));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn setting(&mut self) -> Result<(String, Option<Setting>), String> {
        let name = self.text()?;
        let kind = self.u32()?;
        Ok((name, self.value(kind)?))
    }

    fn value(&mut self, kind: u32) -> Result<Option<Setting>, String> {
        let number = match kind {
            0 | 7 => f64::from(self.take::<1>()?[0]),
            1 => f64::from(i8::from_le_bytes(self.take()?)),
            2 => f64::from(u16::from_le_bytes(self.take()?)),
            3 => f64::from(i16::from_le_bytes(self.take()?)),
            4 => f64::from(self.u32()?),
            5 => f64::from(i32::from_le_bytes(self.take()?)),
            6 => f64::from(f32::from_le_bytes(self.take()?)),
            8 => return Ok(Some(Setting::Text(self.text()?))),
            9 => return self.list(),
            10 => self.u64()? as f64,
            11 => i64::from_le_bytes(self.take()?) as f64,
            12 => f64::from_le_bytes(self.take()?),
            other => return Err(format!("a setting of the unknown type {other}")),
        };
        Ok(Some(Setting::Number(number)))
    }

    fn list(&mut self) -> Result<Option<Setting>, String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        if count > self.length {
            return Err(format!("a list of {count} items is announced in the header"));
        }
        let mut numbers = Vec::new();
        for _ in 0..count {
            if let (Some(Setting::Number(number)), true) = (self.value(kind)?, count <= LONGEST_LIST) {
                numbers.push(number as usize);
            }
        }
        Ok((numbers.len() as u64 == count).then_some(Setting::List(numbers)))
    }

    /// Axes are stored fastest first.
    fn info(&mut self) -> Result<Info, String> {
        let name = self.text()?;
        let axes = self.u32()?;
        if axes > MOST_AXES {
            return Err(format!("'{name}' has {axes} axes"));
        }
        let mut shape = (0..axes).map(|_| self.u64()).collect::<Result<Vec<_>, _>>()?;
        shape.reverse();
        let (kind, offset) = (self.u32()?, self.u64()?);
        let elements = shape.iter().try_fold(1u64, |product, length| product.checked_mul(*length));
        let elements = elements.ok_or_else(|| format!("'{name}' has shape {shape:?}"))?;
        let (element, (count, size)) = element(kind);
        if !elements.is_multiple_of(count) {
            return Err(format!("'{name}' has {elements} elements, no multiple of {count}"));
        }
        let bytes = (elements / count).checked_mul(size);
        let bytes = bytes.ok_or_else(|| format!("'{name}' has shape {shape:?}"))?;
        let shape = shape.into_iter().map(|length| length as usize).collect();
        Ok(Info { name, shape, element, offset, bytes })
    }
}

/// The element type of a number in the header, with elements per block and bytes per block. Unknown types count as
/// empty, so that they are an error only when they are read.
fn element(kind: u32) -> (Element, (u64, u64)) {
    let plain = |dtype: DType| (Element::Plain(dtype), (1, dtype.size() as u64));
    let block = |block: BlockType| {
        let (count, size) = block.sizes();
        (Element::Block(block), (count as u64, size as u64))
    };
    let unknown = |name| (Element::Unknown(name), (1, 0));
    match kind {
        0 => plain(DType::F32),
        1 => plain(DType::F16),
        2 => block(BlockType::Q4_0),
        3 => block(BlockType::Q4_1),
        6 => block(BlockType::Q5_0),
        7 => block(BlockType::Q5_1),
        8 => block(BlockType::Q8_0),
        10 => block(BlockType::Q2_K),
        11 => block(BlockType::Q3_K),
        12 => block(BlockType::Q4_K),
        13 => block(BlockType::Q5_K),
        14 => block(BlockType::Q6_K),
        20 => block(BlockType::IQ4_NL),
        23 => block(BlockType::IQ4_XS),
        24 => plain(DType::I8),
        25 => plain(DType::I16),
        26 => plain(DType::I32),
        27 => plain(DType::I64),
        28 => plain(DType::F64),
        30 => plain(DType::BF16),
        9 => unknown("Q8_1"),
        15 => unknown("Q8_K"),
        16 => unknown("IQ2_XXS"),
        17 => unknown("IQ2_XS"),
        18 => unknown("IQ3_XXS"),
        19 => unknown("IQ1_S"),
        21 => unknown("IQ3_S"),
        22 => unknown("IQ2_S"),
        29 => unknown("IQ1_M"),
        34 => unknown("TQ1_0"),
        35 => unknown("TQ2_0"),
        39 => unknown("MXFP4"),
        40 => unknown("NVFP4"),
        _ => unknown("of an unknown GGUF number"),
    }
}
