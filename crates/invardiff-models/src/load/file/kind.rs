//! The format of a file, recognised by its first bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::load::error::LoadError;

/// A format of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The format of the safetensors library.
    Safetensors,
    /// The format of llama.cpp.
    Gguf,
    /// The format of `torch.save`: a pickle, perhaps in a zip archive.
    PyTorch,
}

/// How many bytes are needed to recognise a format.
const BEGINNING: u64 = 512;

impl Kind {
    /// The format of the file at `path`.
    ///
    /// # Errors
    /// [`LoadError::Format`] for a file that holds no weights; says what the file is, and what to do.
    pub(super) fn of(path: &Path) -> Result<Self, LoadError> {
        let name = path.display().to_string();
        let io = |source| LoadError::Io { file: name.clone(), source };
        let mut file = File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.by_ref().take(BEGINNING).read_to_end(&mut bytes).map_err(io)?;
        told(&bytes, path).map_err(|detail| {
            let expected = match ending(path).as_str() {
                "safetensors" => "no whole safetensors file: ",
                "pt" | "pth" | "bin" | "ckpt" => "no whole PyTorch file: ",
                "gguf" => "no whole GGUF file: ",
                _ => "",
            };
            LoadError::Format { file: name, detail: format!("{expected}{detail}") }
        })
    }
}

fn ending(path: &Path) -> String {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase()
}

/// The format of a file with this beginning.
fn told(bytes: &[u8], path: &Path) -> Result<Kind, String> {
    if bytes.starts_with(b"GGUF") {
        return Ok(Kind::Gguf);
    }
    if is_safetensors(bytes) {
        return Ok(Kind::Safetensors);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return archive(bytes);
    }
    if let Some(what) = text(bytes).or_else(|| other(bytes)) {
        return Err(what);
    }
    // A pickle of protocol 2 or later.
    if matches!(bytes, [0x80, 2..=5, ..]) {
        return Ok(Kind::PyTorch);
    }
    match ending(path).as_str() {
        "safetensors" => Ok(Kind::Safetensors),
        "gguf" => Ok(Kind::Gguf),
        "pt" | "pth" | "bin" | "ckpt" => Ok(Kind::PyTorch),
        _ => Err("weights are read from safetensors, PyTorch (.pt, .pth, .bin, .ckpt) and GGUF files".into()),
    }
}

/// The largest header of a safetensors file.
const LARGEST_HEADER: u64 = 100_000_000;

/// Whether the file begins with the length of a header, and a brace.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<8>() else { return false };
    rest.first() == Some(&b'{') && u64::from_le_bytes(*header) <= LARGEST_HEADER
}

/// Tells a zip archive that PyTorch wrote from any other.
fn archive(bytes: &[u8]) -> Result<Kind, String> {
    // The name of the first entry: PyTorch's are in a folder, and the pickle is the first.
    let name = bytes.get(26..28).map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])));
    let name = name.and_then(|length| bytes.get(30..30 + length)).unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let is_torch = [".pkl", "/version", "/byteorder", "/.format_version", "/.storage_alignment"]
        .iter()
        .any(|end| name.ends_with(end))
        || name.contains("/data/");
    if is_torch {
        return Ok(Kind::PyTorch);
    }
    Err(format!("a zip archive that begins with '{name}', not weights: unpack it and name the file inside"))
}

/// Recognises text files given in place of weights.
fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let start = text.trim_start();
    let lower = start.to_ascii_lowercase();
    if start.starts_with("version https://git-lfs.github.com") {
        let size = start.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse::<u64>().ok());
        let size = size.map_or(String::new(), |size| format!(" of {size} bytes"));
        return Some(format!(
            "a Git LFS pointer, not the weights{size} themselves: run `git lfs pull` in that folder, or download the file \
             from its page"
        ));
    }
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") || lower.starts_with("<head") {
        return Some(
            "a web page (HTML), not weights: the download was answered with a page, such as one to log in or to accept \
             terms; download it again with an access token"
                .into(),
        );
    }
    if lower.starts_with("<?xml") || lower.starts_with("<error") {
        return Some("an XML answer of a server, not weights: download the file again".into());
    }
    if start.starts_with('{') || start.starts_with('[') {
        return Some(
            "a JSON text, not weights: it may be a configuration, or the answer of a server; name the file of weights".into(),
        );
    }
    None
}

/// Recognises other formats given in place of weights.
fn other(bytes: &[u8]) -> Option<String> {
    let archive =
        |name: &str| Some(format!("a {name} archive, not weights: unpack it and name the file inside"));
    match bytes {
        [] => Some("the file is empty: download it again".into()),
        [0x1f, 0x8b, ..] => archive("gzip"),
        [b'B', b'Z', b'h', ..] => archive("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => archive("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => archive("zstd"),
        [b'7', b'z', 0xbc, 0xaf, ..] => archive("7z"),
        [b'R', b'a', b'r', b'!', ..] => archive("RAR"),
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => Some("an image, not weights".into()),
        [0x89, b'H', b'D', b'F', ..] => {
            Some("a Keras file (HDF5), not read here: take the weights in safetensors".into())
        }
        [b'g', b'g', b'm' | b'j', ..] | [b'l' | b't', b'm' | b'j', b'g', b'g', ..] => {
            Some("an older format of llama.cpp (GGML, GGJT), not read here: take the file in GGUF".into())
        }
        _ if bytes.get(257..262) == Some(b"ustar") => archive("tar"),
        _ if bytes.iter().all(|byte| *byte == 0) => {
            Some("the file begins with zeros alone: its download did not end; download it again".into())
        }
        _ => None,
    }
}
