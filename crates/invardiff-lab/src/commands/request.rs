//! The settings of a run: from the flags, else from the plan, else the model's defaults.

mod classes;
mod flags;
mod prompts;
mod resolve;
mod work;

pub use flags::PromptFlags;
pub use prompts::Use;
pub use resolve::{ModelSource, ResolvedModel, RunRequest};
pub use work::Work;
