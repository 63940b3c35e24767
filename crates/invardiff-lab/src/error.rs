//! What an experiment or a check refuses, and what failed below it.

use std::fmt::Display;

use burn::tensor::ExecutionError;
use invardiff_models::LabelError;
use invardiff_plan::core::InvalidKind;
use invardiff_report::ReportError;

/// Why a comparison, a training or a check could not be made.
///
/// Messages name the file, key or field and say what is expected. [`std::error::Error::source`] leads to the cause;
/// [`with_causes`](invardiff::fault::with_causes) writes both in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the library.
    #[error(transparent)]
    Library(#[from] invardiff::Error),
    /// A report that cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Something that does not fit what is asked of it: a file, an array, a request.
    #[error("{0}")]
    Unfit(String),
    /// An error below, with what it was about.
    #[error("{about}")]
    About {
        /// The file, the key or the part.
        about: String,
        /// What failed.
        source: Box<Error>,
    },
    /// A file, or whoever is shown a result, that cannot be read from or written to.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A text that is no JSON, or another one than expected.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Values that do not fill a shape.
    #[error(transparent)]
    Shape(#[from] ndarray::ShapeError),
    /// A name that is no kind of module.
    #[error(transparent)]
    Kind(#[from] InvalidKind),
    /// A class label that the model does not have.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A device that did not compute.
    #[error("the device failed: {0}")]
    Device(#[from] ExecutionError),
}

/// A result of the lab.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A setting that does not fit.
    #[cfg(feature = "autodiff")]
    pub(crate) fn setting(field: &'static str, problem: impl Display) -> Self {
        Self::Library(invardiff::Error::setting(field, problem))
    }

    /// The field with which the message of this error begins, as [`invardiff::Error::field`] has it.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Library(error) => error.field(),
            _ => None,
        }
    }
}

/// Errors of the crates below are the library's.
macro_rules! of_library {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Library(error.into())
            }
        })+
    };
}

of_library! {
    invardiff::fault::Fault,
    invardiff_calib::CalibError,
    invardiff_eval::EvalError,
    invardiff_models::CondError,
    invardiff_models::ConfigError,
    invardiff_models::IdsError,
    invardiff_models::LoadError,
    invardiff_plan::PlanError,
    invardiff_runtime::RuntimeError,
}

/// Says what an error, or a value that is missing, is about.
pub(crate) trait Context<T> {
    /// The error with the file, key or part before it.
    fn context(self, about: impl Display) -> Result<T>;

    /// As [`Context::context`], with words that are only made for an error.
    fn with_context<A: Display>(self, about: impl FnOnce() -> A) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn context(self, about: impl Display) -> Result<T> {
        self.with_context(|| about)
    }

    fn with_context<A: Display>(self, about: impl FnOnce() -> A) -> Result<T> {
        self.map_err(|error| Error::About { about: about().to_string(), source: Box::new(error.into()) })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, about: impl Display) -> Result<T> {
        self.with_context(|| about)
    }

    fn with_context<A: Display>(self, about: impl FnOnce() -> A) -> Result<T> {
        self.ok_or_else(|| Error::Unfit(about().to_string()))
    }
}

/// Says which setting led to an error of the library.
pub(crate) trait InSetting<T> {
    /// The error with the field before it.
    fn in_setting(self, field: &'static str) -> Result<T>;
}

impl<T, E: Into<invardiff::Error>> InSetting<T> for Result<T, E> {
    fn in_setting(self, field: &'static str) -> Result<T> {
        self.map_err(|error| Error::Library(error.into().in_setting(field, "")))
    }
}

/// The error [`Error::Unfit`] with a formatted message.
macro_rules! unfit {
    ($($message:tt)*) => {
        $crate::error::Error::Unfit(format!($($message)*))
    };
}

/// Returns [`Error::Unfit`] with a formatted message.
macro_rules! bail {
    ($($message:tt)*) => {
        return Err($crate::error::unfit!($($message)*))
    };
}

/// Returns [`Error::Unfit`] with a formatted message unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($message:tt)*) => {
        if !$holds {
            $crate::error::bail!($($message)*);
        }
    };
}

pub(crate) use {bail, ensure, unfit};
