//! The encodings of small text files: prompts, configurations, masks, vocabularies.
//!
//! Editors on Windows begin a file with a byte order mark (BOM), and PowerShell writes UTF-16. Such a file is the same text, and
//! its first prompt or key must not begin with the mark.

/// The character of a byte order mark.
pub const BOM: char = '\u{feff}';

/// How many characters at the start of a file are looked at to recognise UTF-16 without a byte order mark.
const LOOKED_AT: usize = 16;

/// Bytes that are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// UTF-16 that is cut short or has half of a pair.
    #[error("it is UTF-16 that is not whole; save it as UTF-8")]
    Utf16,
    /// UTF-32.
    #[error("it is UTF-32, which is not read; save it as UTF-8")]
    Utf32,
    /// A zero within the text.
    #[error("it has a zero byte at {0}, so it is no text file")]
    Zero(usize),
    /// Another encoding.
    #[error("it is neither UTF-8 nor UTF-16 (byte {0}); save it as UTF-8")]
    Other(usize),
}

/// The text in a file's bytes: UTF-8 with or without a byte order mark, or UTF-16 of either byte order. The mark is not part of
/// the text.
///
/// # Errors
/// [`NotText`] with the place where other bytes begin, and what to do.
pub fn decode(bytes: Vec<u8>) -> Result<String, NotText> {
    let text = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Err(NotText::Utf32),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest.to_vec())?,
        bare if zeros(bare, 1) => utf16(bare, u16::from_le_bytes)?,
        bare if zeros(bare, 0) => utf16(bare, u16::from_be_bytes)?,
        _ => utf8(bytes)?,
    };
    match text.find('\0') {
        None => Ok(text),
        Some(at) => Err(NotText::Zero(at)),
    }
}

/// The lines of a text that are not empty, without white space and byte order marks around them: files that were joined have such
/// a mark in the middle.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let trimmed = text.lines().map(|line| line.trim_matches(|c: char| c.is_whitespace() || c == BOM));
    trimmed.filter(|line| !line.is_empty())
}

/// Whether every second byte at the start is zero, beginning with byte `first`, and no other is: ASCII in UTF-16.
fn zeros(bytes: &[u8], first: usize) -> bool {
    let pairs = bytes.as_chunks::<2>().0;
    let start = &pairs[..pairs.len().min(LOOKED_AT)];
    !start.is_empty() && start.iter().all(|pair| pair[first] == 0 && pair[1 - first] != 0)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, NotText> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<String, _>>();
    text.ok().filter(|_| rest.is_empty()).ok_or(NotText::Utf16)
}

fn utf8(bytes: Vec<u8>) -> Result<String, NotText> {
    String::from_utf8(bytes).map_err(|error| NotText::Other(error.utf8_error().valid_up_to()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a red panda\r\n\r\n  ein Löwe \u{1f981}\r\n";

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn the_same_text_in_every_encoding() {
        let marked = format!("{BOM}{TEXT}");
        for bytes in [
            TEXT.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf16(&marked, u16::to_le_bytes),
            utf16(&marked, u16::to_be_bytes),
            utf16(TEXT, u16::to_le_bytes),
            utf16(TEXT, u16::to_be_bytes),
        ] {
            let text = decode(bytes).unwrap();
            assert_eq!(text, TEXT);
            assert_eq!(lines(&text).collect::<Vec<_>>(), ["a red panda", "ein Löwe \u{1f981}"]);
        }
        assert_eq!(decode(Vec::new()).unwrap(), "");
        assert_eq!(lines(&format!("{BOM}one\n\n{BOM}two\n \n")).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn what_is_no_text_says_what_to_do() {
        let message = |bytes: &[u8]| decode(bytes.to_vec()).unwrap_err().to_string();
        assert_eq!(message(b"caf\xe9"), "it is neither UTF-8 nor UTF-16 (byte 3); save it as UTF-8");
        assert_eq!(message(b"\xff\xfea\0b"), "it is UTF-16 that is not whole; save it as UTF-8");
        assert_eq!(message(b"\xff\xfe\x00\xd8a\0"), "it is UTF-16 that is not whole; save it as UTF-8");
        assert_eq!(message(b"\xff\xfe\0\0a\0\0\0"), "it is UTF-32, which is not read; save it as UTF-8");
        assert_eq!(message(b"ab\0c"), "it has a zero byte at 2, so it is no text file");
        assert_eq!(message(b"\0\0\0\0"), "it has a zero byte at 0, so it is no text file");
    }
}
