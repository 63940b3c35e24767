//! Errors of model configurations, shared by all models.

use std::fmt::Display;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field with a value that the model cannot have.
    #[error("'{field}' is {value}, expected {expected}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// The value found.
        value: String,
        /// The allowed values in words.
        expected: String,
    },
    /// JSON that is not a configuration; holds the model's name and the reason.
    #[error("no {0}")]
    Json(String),
    /// A name that is not the name of a published size.
    #[error("'{name}' is no published size; there are {known}")]
    Name {
        /// The name as given.
        name: String,
        /// All names, comma separated.
        known: String,
    },
}

impl ConfigError {
    pub(crate) fn no_dit(error: serde_json::Error) -> Self {
        Self::Json(format!("DiT configuration: {error}"))
    }

    pub(crate) fn no_flux(error: serde_json::Error) -> Self {
        Self::Json(format!("FLUX configuration: {error}"))
    }

    /// Parses a configuration of `what`; the error names the key.
    pub(crate) fn parse<C: serde::de::DeserializeOwned>(
        what: &str,
        value: Result<serde_json::Value, serde_json::Error>,
    ) -> Result<C, Self> {
        let no = |detail: String| Self::Json(format!("{what} configuration: {detail}"));
        let value = value.map_err(|error| no(error.to_string()))?;
        serde_path_to_error::deserialize(value).map_err(|error| match error.path().iter().next() {
            Some(_) => no(error.to_string()),
            None => no(error.into_inner().to_string()),
        })
    }
}

/// Returns [`ConfigError::Field`] unless `holds`.
pub(crate) fn require(
    holds: bool,
    field: &'static str,
    value: &dyn Display,
    expected: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Field { field, value: value.to_string(), expected: expected() })
}
