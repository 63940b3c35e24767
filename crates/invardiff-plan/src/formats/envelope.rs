//! The layout of all binary files: seven bytes for the format, one for its version, then bincode to the end.

use bincode::config::{Configuration, Limit, standard};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::PlanError;

/// The largest file that is read, in bytes: 8 MiB. The published plans take 36 to 73 KB as JSON.
pub const FILE_LIMIT: usize = 8 << 20;

fn config() -> Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<FILE_LIMIT>> {
    standard().with_limit::<FILE_LIMIT>()
}

/// The bytes of a file that holds `value`; `what` names it in errors.
///
/// # Errors
/// [`PlanError::Format`] for a file larger than [`FILE_LIMIT`].
pub(crate) fn seal<T: Serialize>(
    magic: [u8; 7],
    version: u8,
    value: &T,
    what: &str,
) -> Result<Vec<u8>, PlanError> {
    let payload = bincode::serde::encode_to_vec(value, config()).map_err(|error| wrong(what, &error))?;
    if magic.len() + 1 + payload.len() > FILE_LIMIT {
        return Err(wrong(what, &format!("more than the {FILE_LIMIT} bytes that are read back")));
    }
    Ok([&magic[..], &[version], &payload].concat())
}

/// The version that the bytes of a file say; `None` where they are of another format.
pub(super) fn version(magic: [u8; 7], bytes: &[u8]) -> Option<u8> {
    bytes.strip_prefix(&magic)?.first().copied()
}

/// The value in the bytes of a file; `what` names the file in errors.
///
/// # Errors
/// [`PlanError::Format`] naming the file: bytes of another format or version, a file that is cut short, larger than
/// [`FILE_LIMIT`] or has bytes left over.
pub(crate) fn open<T: DeserializeOwned>(
    magic: [u8; 7],
    version: u8,
    bytes: &[u8],
    what: &str,
) -> Result<T, PlanError> {
    if bytes.len() > FILE_LIMIT {
        return Err(wrong(what, &format!("larger than {FILE_LIMIT} bytes")));
    }
    let named = || format!("it does not start with '{}'", String::from_utf8_lossy(&magic));
    let rest = bytes.strip_prefix(&magic).ok_or_else(|| wrong(what, &named()))?;
    let (found, payload) =
        rest.split_first().ok_or_else(|| wrong(what, &"the file ends before its version"))?;
    if *found != version {
        return Err(wrong(what, &format!("version {found} is unknown; this program reads {version}")));
    }
    let (value, read): (T, usize) =
        bincode::serde::decode_from_slice(payload, config()).map_err(|error| wrong(what, &reason(&error)))?;
    if read != payload.len() {
        return Err(wrong(what, &format!("{} bytes follow the end", payload.len() - read)));
    }
    Ok(value)
}

fn reason(error: &bincode::error::DecodeError) -> String {
    match error {
        bincode::error::DecodeError::UnexpectedEnd { .. } => "the file is cut short".into(),
        bincode::error::DecodeError::LimitExceeded => format!("it asks for more than {FILE_LIMIT} bytes"),
        other => other.to_string(),
    }
}

fn wrong(what: &str, detail: &dyn std::fmt::Display) -> PlanError {
    PlanError::Format { what: what.into(), detail: detail.to_string() }
}
