//! The campaign behind `docs/reliability.md`, which says what is promised and what these programs found.
//!
//! - [`fuzz`]: the readers of files and answers that come from elsewhere, on inputs made to break them
//!   (`cargo xtask fuzz`);
//! - [`soak`]: models, plans, files and downloads in many threads of one process, for minutes (`cargo xtask soak`).

pub mod fuzz;
pub mod soak;
