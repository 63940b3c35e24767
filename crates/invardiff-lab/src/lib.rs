//! Experiments and checks of InvarDiff: comparisons, trainings and measurements, and the program's commands for them.
//!
//! - [`compare()`] draws images with several candidates and compares them with the full run;
//! - [`commands`] holds comparisons of methods, fits, trained methods, parity, end-to-end checks and measurements, each with
//!   its command's arguments.

pub mod args;
mod bench_model;
pub mod commands;
mod compare;
mod e2e;
#[cfg(feature = "autodiff")]
mod examples;
pub mod held_out;
mod parity;
mod progress;
pub mod stdout;

pub use compare::{Candidate, Decider, Evaluation, Images, compare, draw};
#[cfg(feature = "autodiff")]
pub use examples::ExampleSet;
pub use progress::{Bars, bar};
