//! What a report refuses.

use std::path::PathBuf;

use invardiff_eval::EvalError;

/// Why a report was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Parts that do not fit together.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// What has the wrong shape.
        what: String,
        /// The shape in words.
        expected: String,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A file or folder that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// An image that cannot be encoded.
    #[error("cannot encode {what} as PNG: {detail}")]
    Encode {
        /// The image.
        what: String,
        /// The encoder's message.
        detail: String,
    },
    /// Numbers that cannot be written as JSON.
    #[error("cannot write the numbers of the report as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Images that cannot be shown.
    #[error(transparent)]
    Eval(#[from] EvalError),
}
