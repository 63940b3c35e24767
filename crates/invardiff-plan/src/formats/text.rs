//! Reading JSON files: their format and version first, and errors that name the key.

use serde::Deserialize;

use crate::core::PlanError;

/// The keys that are read first, so that a later version is refused for its number and not for its keys.
#[derive(Deserialize)]
struct Header {
    format: Option<String>,
    version: Option<u64>,
}

/// Checks format and version of a file; `what` names the file in errors.
///
/// # Errors
/// [`PlanError::Format`] naming file and key.
pub(crate) fn header(json: &str, what: &str, format: &str, known: u64) -> Result<(), PlanError> {
    version(json, what, format, &[known]).map(drop)
}

/// The version of text in this format, one of `known`; `what` names the file in messages.
///
/// # Errors
/// [`PlanError::Format`] naming file and key.
pub(crate) fn version(json: &str, what: &str, format: &str, known: &[u64]) -> Result<u64, PlanError> {
    let header: Header = parse(json, what)?;
    if header.format.as_deref() != Some(format) {
        return Err(wrong(what, &format!("key 'format' is not \"{format}\"")));
    }
    match header.version {
        Some(version) if known.contains(&version) => Ok(version),
        Some(version) => {
            let known = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            Err(wrong(what, &format!("version {version} is unknown; this program reads {known}")))
        }
        None => Err(wrong(what, &"missing key 'version'")),
    }
}

/// Reads a whole JSON text.
///
/// # Errors
/// [`PlanError::Format`] naming file and key.
pub(crate) fn parse<'a, T: Deserialize<'a>>(json: &'a str, what: &str) -> Result<T, PlanError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!("key '{path}': ") };
        wrong(what, &format!("{place}{}", error.inner()))
    })?;
    deserializer.end().map_err(|error| wrong(what, &error))?;
    Ok(value)
}

fn wrong(what: &str, detail: &dyn std::fmt::Display) -> PlanError {
    PlanError::Format { what: what.into(), detail: detail.to_string() }
}
