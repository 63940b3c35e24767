//! One comparison: an error and its tolerance.

use std::fmt;

use invardiff::fault::with_causes;
use serde::Serialize;

use crate::error::Result;

/// How an error is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The largest absolute difference.
    Absolute,
    /// The largest absolute difference over the largest absolute expected value.
    OfLargest,
    /// The largest difference over the size of the expected value, entry by entry.
    Relative,
    /// The root mean square of the relative differences, or the largest one if it is an outlier.
    RelativeOnAverage,
    /// The largest difference in dB.
    Decibels,
    /// How many entries differ.
    Entries,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Absolute => "absolute",
            Self::OfLargest => "of the largest value",
            Self::Relative => "relative",
            Self::RelativeOnAverage => "relative on average",
            Self::Decibels => "dB",
            Self::Entries => "entries",
        })
    }
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// The largest error; infinite where a value is NaN.
    pub error: f64,
    /// The largest error that passes.
    pub tolerance: f64,
    /// How both are measured.
    pub measure: Measure,
    /// A remark.
    pub note: Option<String>,
}

impl Deviation {
    pub(crate) fn new(measure: Measure, error: f64, tolerance: f64) -> Self {
        Self { error, tolerance, measure, note: None }
    }

    pub(crate) fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    fn passed(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// One line of the result.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was compared.
    pub name: String,
    /// The error, or why there is none.
    pub outcome: Result<Deviation, String>,
}

impl Comparison {
    /// Whether the error is within its tolerance.
    pub fn passed(&self) -> bool {
        self.outcome.as_ref().is_ok_and(Deviation::passed)
    }

    /// The error in words, or why there is none.
    pub fn error(&self) -> String {
        match &self.outcome {
            Ok(Deviation { error, tolerance, measure, .. }) => {
                format!("{error:.1e} {measure}, at most {tolerance:.1e}")
            }
            Err(message) => message.clone(),
        }
    }
}

/// The comparisons of one folder, in order.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<Comparison>);

impl Checks {
    /// Adds a comparison. One that cannot be made has failed; the next ones are made all the same.
    pub(crate) fn run(&mut self, name: impl Into<String>, compare: impl FnOnce() -> Result<Deviation>) {
        let outcome = compare().map_err(|error| with_causes(&error).replace('\n', " "));
        self.0.push(Comparison { name: name.into(), outcome });
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_list(self) -> Vec<Comparison> {
        self.0
    }
}
