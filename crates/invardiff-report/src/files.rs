//! Writes the files of a report, and encodes images as PNG.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use crate::error::ReportError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, ImageFormat};

/// Writes the file `name` in `folder`, whole or not at all.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, ReportError> {
    let path = folder.join(name);
    match invardiff_plan::files::write(&path, bytes) {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Write { path, source }),
    }
}

/// Encodes an image as PNG.
pub(super) fn png(image: &DynamicImage, what: &str) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| ReportError::Encode { what: what.to_owned(), detail: error.to_string() })?;
    Ok(bytes.into_inner())
}

/// Encodes an image as a PNG in a `data:` URL, for a page that needs no other file.
pub(super) fn data_address(image: &DynamicImage, what: &str) -> Result<String, ReportError> {
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png(image, what)?)))
}

/// Makes a name usable in a file name: letters, digits, `-` and `_`.
pub(super) fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("taken")).unwrap();
        let error = write(folder.path(), "taken", b"x").unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write(folder.path(), "fresh", b"one").unwrap();
        let path = write(folder.path(), "fresh", b"two").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn slugs_stay_in_their_folder() {
        assert_eq!(slug("../context_attn:2"), "___context_attn_2");
    }
}
