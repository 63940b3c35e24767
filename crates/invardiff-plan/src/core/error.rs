//! The error of this crate.

use std::path::PathBuf;

use crate::core::provenance::{Mismatch, list};
use crate::core::site::{InvalidKind, Kind, Site};

/// Why a plan, a table of measurements or a file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A name that cannot be a [`Kind`].
    #[error(transparent)]
    KindName(#[from] InvalidKind),
    /// An array whose shape does not fit the rest.
    #[error("{what} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// What has the wrong shape, with its key.
        what: String,
        /// The shape that the rest asks for.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A site is reused at a step before which it was never computed.
    #[error(
        "{site} is reused at step {step}, but no earlier step computes it; compute it at an earlier step"
    )]
    ReuseBeforeCompute {
        /// The site whose feature is missing.
        site: Site,
        /// The step of the reuse, in sampling order.
        step: usize,
    },
    /// A kind that the model does not have.
    #[error("the plan has kind '{kind}', which {model} does not have (its kinds: {known})")]
    UnknownKind {
        /// The kind in question.
        kind: Kind,
        /// The model's name.
        model: String,
        /// The kinds it has, comma separated.
        known: String,
    },
    /// A kind that the model has and a table or cache book lacks.
    #[error("kind '{kind}' is missing from {what}")]
    MissingKind {
        /// The kind in question.
        kind: Kind,
        /// Where it is missing.
        what: String,
    },
    /// A plan and a model have different sites.
    #[error("the plan was made for other sites than {model} has: {detail}")]
    Sites {
        /// The model's name.
        model: String,
        /// The first difference.
        detail: String,
    },
    /// Too few steps for a change rate.
    #[error("{steps} steps are too few: a change rate needs at least {needed}")]
    TooFewSteps {
        /// The steps given.
        steps: usize,
        /// The steps needed.
        needed: usize,
    },
    /// A value out of its range.
    #[error("{what} is {value}, expected {expected}")]
    Range {
        /// The name of the field or setting.
        what: String,
        /// The value found.
        value: String,
        /// The allowed range in words.
        expected: String,
    },
    /// The distance between two steps was not recorded.
    #[error("the distance of {stream} between steps {from} and {to} was not recorded (window {window}); record with a window of at least {}", to - from)]
    MissingPair {
        /// The stream and layer, e.g. `mlp[0]`.
        stream: String,
        /// The earlier step.
        from: usize,
        /// The later step.
        to: usize,
        /// The recorded window in steps.
        window: usize,
    },
    /// Text or bytes that do not follow a format.
    #[error("{what}: {detail}")]
    Format {
        /// The file or format in question.
        what: String,
        /// What is wrong in it, with the key.
        detail: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A plan that was made for another run.
    #[error("the plan was made for another run: {}", list(.0))]
    OtherRun(
        /// Every difference.
        Vec<Mismatch>,
    ),
}

impl PlanError {
    /// The same error with the file named in it.
    pub(crate) fn in_file(self, file: &str) -> Self {
        let place = |what: String| format!("{file}: {what}");
        match self {
            Self::Shape { what, expected, found } => Self::Shape { what: place(what), expected, found },
            Self::Range { what, value, expected } => Self::Range { what: place(what), value, expected },
            Self::Format { what, detail } if !what.starts_with(file) => {
                Self::Format { what: place(what), detail }
            }
            named @ (Self::Format { .. } | Self::Io { .. }) => named,
            other => Self::Format { what: file.into(), detail: other.to_string() },
        }
    }
}
