//! From the name of a model, the file of a plan and the settings of a run to the pipeline that draws it.
//!
//! A [`RunRequest`] says what is wanted; what it leaves open is taken from the plan, then from the model.
//! [`RunRequest::resolve`] reads the plan's file and finds the model, and a [`ResolvedModel`] opens the pipeline.

mod classes;
mod plan_source;
mod prompts;
mod resolve;
mod room;
mod run;
mod work;

pub use plan_source::PlanSource;
pub use resolve::{ModelSource, ResolvedModel};
pub use room::Use;
pub use run::{PromptRequest, RunRequest};
pub use work::PipelineWork;
