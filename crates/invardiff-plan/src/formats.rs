//! Files: plans as versioned JSON and bincode, the cache books of the InvarDiff authors, schedules and masks of other tools,
//! and the measurements that other methods decide by.

mod binary;
mod books;
mod document;
mod envelope;
mod file;
mod groups;
mod measurement;
mod replace;
mod rules;
mod smoothcache;
mod step_mask;
mod text;

pub use books::{AuthorBook, BookLayout, BookName, BookVersion};
pub use envelope::FILE_LIMIT;
pub(crate) use envelope::{open, seal};
pub use file::PlanFile;
pub(crate) use measurement::finite;
pub use measurement::{Fit, Measurement};
pub(crate) use replace::replace;
pub use smoothcache::SmoothCache;
pub use step_mask::StepMask;
