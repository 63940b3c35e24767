//! What a metric or a weight file refuses.

use std::path::PathBuf;

/// Everything that this crate refuses, each with what it names and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Two arrays that must have one shape.
    #[error("{what} have the shapes {left:?} and {right:?}; they must be equal")]
    ShapesDiffer {
        /// What is compared.
        what: String,
        /// Shape of the first.
        left: Vec<usize>,
        /// Shape of the second.
        right: Vec<usize>,
    },
    /// An array with the wrong shape.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// What has the wrong shape.
        what: String,
        /// The shape in words.
        expected: String,
        /// The shape found.
        found: Vec<usize>,
    },
    /// NaN or infinite values, where a metric needs finite ones.
    #[error("{what} are not all finite; look at what drew the images")]
    NotFinite {
        /// Where they were found.
        what: &'static str,
    },
    /// An image too small for a metric.
    #[error(
        "{metric} needs images of at least {minimum}x{minimum} pixels, these are {width}x{height}; enlarge both images alike or leave this metric out"
    )]
    TooSmall {
        /// The metric.
        metric: &'static str,
        /// The least height and width in pixels.
        minimum: usize,
        /// Height found.
        height: usize,
        /// Width found.
        width: usize,
    },
    /// Weights that do not fit an architecture.
    #[error("{origin} does not fit {architecture}: {detail}")]
    Weights {
        /// The file, or what else the weights come from.
        origin: String,
        /// The architecture that was to be filled.
        architecture: &'static str,
        /// Missing, unused and misshapen keys.
        detail: String,
    },
    /// A weight file that is none.
    #[error("{}: {detail}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the key where there is one.
        detail: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A device that did not give its result.
    #[error("the device did not return {what}: {detail}")]
    Device {
        /// What was read.
        what: &'static str,
        /// The device's message.
        detail: String,
    },
}

/// The shapes of two arrays, which must be one.
pub(crate) fn same_shape(what: &str, left: &[usize], right: &[usize]) -> Result<(), EvalError> {
    if left == right {
        return Ok(());
    }
    Err(EvalError::ShapesDiffer { what: what.to_owned(), left: left.to_vec(), right: right.to_vec() })
}
