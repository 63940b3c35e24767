//! Plan files: versioned JSON to read and edit, bincode to ship, and whatever else holds a plan.

mod binary;
mod document;
pub(crate) mod envelope;
mod file;
mod groups;
mod rules;
pub(crate) mod text;

use crate::PlanError;

pub use file::PlanFile;
pub(crate) use file::replace;

/// The largest plan file that is read, in bytes (16 MiB; the published plans take 36 to 73 KB as JSON).
pub const FILE_LIMIT: usize = 16 << 20;

/// The same error with the file named in it.
pub(crate) fn in_file(error: PlanError, file: &str) -> PlanError {
    let place = |what: String| format!("{file}: {what}");
    match error {
        PlanError::Shape { what, expected, found } => PlanError::Shape { what: place(what), expected, found },
        PlanError::Range { what, value, expected } => PlanError::Range { what: place(what), value, expected },
        PlanError::Format { what, detail } if !what.starts_with(file) => {
            PlanError::Format { what: place(what), detail }
        }
        named @ (PlanError::Format { .. } | PlanError::Io { .. }) => named,
        other => PlanError::Format { what: file.into(), detail: other.to_string() },
    }
}
