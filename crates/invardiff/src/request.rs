//! The settings of a run: from the flags, else from the plan, else the model's defaults.

mod classes;
mod flags;
mod prompts;
mod resolve;
mod room;
mod work;

pub use flags::PromptFlags;
pub use resolve::{ModelSource, ResolvedModel, RunRequest};
pub use room::Use;
pub use work::Work;
