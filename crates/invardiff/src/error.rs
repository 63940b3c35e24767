//! What the library refuses, and what failed below it.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use invardiff_calib::CalibError;
use invardiff_eval::EvalError;
use invardiff_models::{CondError, ConfigError, IdsError, LoadError, TokenizerError};
use invardiff_plan::PlanError;
use invardiff_runtime::RuntimeError;

use crate::fault::Fault;
use crate::memory::NoRoom;

/// Why a model was not loaded, an image not drawn, or a file not read or written.
///
/// Messages name the file, key or field and say what is expected. [`std::error::Error::source`] leads to the cause;
/// [`with_causes`](crate::fault::with_causes) writes both in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that does not fit the model, the plan or the device.
    #[error("{field} {problem}")]
    Setting {
        /// The field of the options, as `guidance_scale`.
        field: &'static str,
        /// How the sentence goes on: its value, and what is expected.
        problem: String,
    },
    /// A setting whose value led to an error below.
    #[error("{}", named(field, value))]
    InSetting {
        /// The field of the options, as `model`.
        field: &'static str,
        /// Its value; may be empty.
        value: String,
        /// What failed.
        source: Box<Error>,
    },
    /// A file or folder that is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, with the key where there is one.
        problem: String,
    },
    /// A file that cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {problem}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A text in a file that is no JSON, or another one than expected.
    #[error("{place}")]
    Json {
        /// The file and the key.
        place: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A model that cannot do what it is asked, or whose parts do not belong together.
    #[error("{0}")]
    Model(String),
    /// A request that contradicts itself or the pipeline.
    #[error("{0}")]
    Request(String),
    /// A device that is not there or does not compute.
    #[error("{0}")]
    Device(String),
    /// A panic, of a device's driver or of this library.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// An error below, with what it was about.
    #[error("{about}")]
    About {
        /// The file, the model or the part.
        about: String,
        /// What failed.
        source: Box<Error>,
    },
    /// A run that takes more memory than there is.
    #[error(transparent)]
    Memory(#[from] NoRoom),
    /// A plan that cannot be read, or does not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A sampler or a schedule that does not fit.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A calibration that cannot be made.
    #[error(transparent)]
    Calib(#[from] CalibError),
    /// A metric that cannot be computed.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Weights that cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A configuration that describes no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A condition that does not fit the model.
    #[error(transparent)]
    Cond(#[from] CondError),
    /// Tokens that the text encoder does not have.
    #[error(transparent)]
    Ids(#[from] IdsError),
    /// A tokenizer that cannot be opened.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A model that could not be fetched.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
}

/// A result of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A setting that does not fit.
    pub fn setting(field: &'static str, problem: impl Display) -> Self {
        Self::Setting { field, problem: problem.to_string() }
    }

    /// The same error with the setting that led to it: its field and its value, which may be empty.
    #[must_use]
    pub fn in_setting(self, field: &'static str, value: impl Display) -> Self {
        Self::InSetting { field, value: value.to_string(), source: Box::new(self) }
    }

    /// The field with which the message of this error begins, for [`Error::Setting`] and [`Error::InSetting`]; not that of a
    /// cause.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Setting { field, .. } | Self::InSetting { field, .. } => Some(field),
            _ => None,
        }
    }

    pub(crate) fn file(path: impl AsRef<Path>, problem: impl Display) -> Self {
        Self::File { path: path.as_ref().to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// Values that do not fill a shape.
    pub(crate) fn shape(error: ndarray::ShapeError) -> Self {
        Self::Model(format!("values do not fill their shape: {error}"))
    }

    /// What a device did not give.
    pub(crate) fn device(what: impl Display, detail: impl std::fmt::Debug) -> Self {
        Self::Device(format!("{what}: {detail:?}"))
    }
}

/// Says what an error is about.
pub(crate) trait About<T> {
    /// The same error with the file, model or part that it is about.
    fn about(self, about: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> About<T> for Result<T, E> {
    fn about(self, about: impl Display) -> Result<T> {
        self.map_err(|error| Error::About { about: about.to_string(), source: Box::new(error.into()) })
    }
}

/// Says which setting led to an error.
pub(crate) trait InSetting<T> {
    /// The same error with the field and its value, which may be empty.
    fn in_setting(self, field: &'static str, value: impl Display) -> Result<T>;
}

impl<T, E: Into<Error>> InSetting<T> for Result<T, E> {
    fn in_setting(self, field: &'static str, value: impl Display) -> Result<T> {
        self.map_err(|error| error.into().in_setting(field, value))
    }
}

/// A field with its value, where there is one.
fn named(field: &str, value: &str) -> String {
    if value.is_empty() { field.to_owned() } else { format!("{field} {value}") }
}
