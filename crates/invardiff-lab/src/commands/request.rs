//! What flags say of a run, and what the plan and the model say where flags do not.

mod classes;
mod flags;
mod prompts;
mod resolve;
mod work;

pub use flags::PromptFlags;
pub use prompts::Use;
pub use resolve::{ModelSource, ResolvedModel, RunRequest};
pub use work::Work;
