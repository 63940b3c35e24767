//! File formats: plans as versioned JSON and bincode, the cache books of the InvarDiff authors, the schedules and step masks of
//! other tools, and the measurements of other methods.
//!
//! ```
//! use invardiff_plan::formats::PlanFile;
//! use invardiff_plan::{CachePlan, Topology};
//!
//! let folder = tempfile::tempdir()?;
//! let topology = Topology::named("dit-s-2-256")?;
//! let plan = CachePlan::gate_only(&topology, vec![false, true, false, true]);
//!
//! let path = folder.path().join("plan.json");
//! plan.write(&path)?; // or .bin
//! assert_eq!(CachePlan::read(&path)?, plan);
//!
//! // A mask of steps does not say which layers there are, so it becomes a plan for a model.
//! let path = folder.path().join("mask.txt");
//! std::fs::write(&path, "1,0,1,0")?;
//! assert_eq!(PlanFile::read(&path)?.plan(Some(&topology))?.gate(), plan.gate());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod binary;
mod books;
mod cache_dit;
mod document;
mod envelope;
mod file;
mod fitted;
mod groups;
pub(crate) mod limits;
mod measurement;
mod rules;
mod smoothcache;
mod step_mask;
mod text;

pub use books::{AuthorBook, BookLayout, BookName, BookVersion};
pub use envelope::FILE_LIMIT;
pub(crate) use envelope::{open, seal};
pub use file::PlanFile;
pub use limits::STEP_LIMIT;
pub(crate) use measurement::finite;
pub use measurement::{Fit, Measurement};
pub use smoothcache::SmoothCache;
pub use step_mask::{MaskOnes, StepMask};
