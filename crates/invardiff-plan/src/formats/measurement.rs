//! Files with the measurements of other methods than InvarDiff's.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::core::{Calibration, PlanError, RunSpec};
use crate::files;
use crate::formats::{limits, text};

/// Measured numbers that can be kept in a file.
pub trait Measurement: Serialize + DeserializeOwned {
    /// The value of the file's key `format`.
    const FORMAT: &'static str;

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// [`PlanError::Range`] or [`PlanError::Shape`] naming the key.
    fn check(&self) -> Result<(), PlanError>;
}

/// A measurement with its provenance, as a JSON file: `{"format": .., "version": 1, "tool": .., "execution": ..,
/// "calibration": .., "fit": ..}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit<T> {
    /// Name and version of the program that wrote it.
    pub tool: String,
    /// The settings of the runs.
    pub execution: Option<RunSpec>,
    /// The conditions and seeds of the runs.
    pub calibration: Option<Calibration>,
    /// The measured numbers.
    pub fit: T,
}

const VERSION: u64 = 1;

/// The keys of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<T> {
    format: String,
    version: u64,
    tool: String,
    execution: Option<RunSpec>,
    calibration: Option<Calibration>,
    fit: T,
}

impl<T: Measurement> Fit<T> {
    /// A measurement without provenance.
    pub fn new(fit: T) -> Self {
        Self { tool: String::new(), execution: None, calibration: None, fit }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`PlanError::Io`] when it cannot be read; otherwise as [`Fit::from_json`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PlanError> {
        let path = path.as_ref();
        let what = path.display().to_string();
        Self::from_json(&limits::text(limits::read(path)?, &what)?, &what)
    }

    /// Writes the file. It is never left half written: it is written under another name and then renamed.
    ///
    /// # Errors
    /// [`PlanError::Io`] when it cannot be written; otherwise as [`Fit::to_json`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), PlanError> {
        let path = path.as_ref();
        let text = self.to_json()?;
        files::write(path, text.as_bytes()).map_err(|source| PlanError::Io { path: path.into(), source })
    }

    /// The file's text, JSON.
    ///
    /// # Errors
    /// As [`Measurement::check`].
    pub fn to_json(&self) -> Result<String, PlanError> {
        self.fit.check()?;
        let Self { tool, execution, calibration, fit } = self;
        let document = Document {
            format: T::FORMAT.into(),
            version: VERSION,
            tool: tool.clone(),
            execution: execution.clone(),
            calibration: calibration.clone(),
            fit,
        };
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| PlanError::Format { what: T::FORMAT.into(), detail: error.to_string() })?;
        Ok(text + "\n")
    }

    /// Reads the file's text; `what` names the file in errors.
    ///
    /// # Errors
    /// [`PlanError::Format`] for another format or version, and for a missing or unknown key; otherwise as
    /// [`Measurement::check`]. All name the file.
    pub fn from_json(json: &str, what: &str) -> Result<Self, PlanError> {
        text::header(json, what, T::FORMAT, VERSION)?;
        let Document { tool, execution, calibration, fit, .. } = text::parse::<Document<T>>(json, what)?;
        fit.check().map_err(|error| error.in_file(what))?;
        Ok(Self { tool, execution, calibration, fit })
    }
}

/// Checks that a number is finite.
pub(crate) fn finite(key: &str, value: f64) -> Result<(), PlanError> {
    if value.is_finite() {
        return Ok(());
    }
    let (what, expected) = (key.to_owned(), "a finite number".to_owned());
    Err(PlanError::Range { what, value: value.to_string(), expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::magcache::Magnitudes;
    use crate::methods::teacache::TeaCacheFit;

    fn fit() -> Fit<Magnitudes> {
        let calibration =
            Calibration { conditions: vec!["class 0".into()], seeds: vec![7], guidance_scale: Some(2.0) };
        let fit = Magnitudes { ratios: vec![1.0, 1.25, 0.5] };
        Fit { tool: "test 1".into(), execution: None, calibration: Some(calibration), fit }
    }

    #[test]
    fn a_file_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ratios.json");
        fit().write(&path).unwrap();
        assert_eq!(Fit::<Magnitudes>::read(&path).unwrap(), fit());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_file_is_refused_by_name() {
        let json = fit().to_json().unwrap();
        let message = |text: &str| Fit::<Magnitudes>::from_json(text, "r.json").unwrap_err().to_string();
        assert!(Fit::<TeaCacheFit>::from_json(&json, "r.json").unwrap_err().to_string().contains("r.json"));
        assert!(message(&json.replace("\"version\": 1", "\"version\": 2")).contains("version 2 is unknown"));
        assert!(message(&json.replace("\"tool\"", "\"tools\"")).contains("tools"));
        assert!(message(&json.replace("1.25", "\"x\"")).contains("fit.ratios[1]"));
        assert!(message(&json.replace("1.25", "-1.25")).contains("r.json: ratios[1]"));
        assert!(message("[]").contains("r.json"));
        assert!(message(&json[..40]).contains("r.json"));
    }

    #[test]
    fn what_cannot_be_read_back_is_not_written() {
        let endless = Fit::new(Magnitudes { ratios: vec![f64::INFINITY] });
        assert!(endless.to_json().unwrap_err().to_string().contains("ratios[0] is inf"));
    }
}
