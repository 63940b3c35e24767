//! Experiments and checks of InvarDiff as a library: comparisons, trainings and measurements. The program `invardiff` has a
//! command for each; nothing here reads arguments or prints.
//!
//! - [`compare()`] draws images with several candidates and compares them with the full run; [`study`] does so for methods at
//!   several settings;
//! - [`fit`] makes the measurements that other methods need;
//! - [`route`] and [`block_cache`] train what Learning-to-Cache and Block Caching need, and compare it with untrained plans;
//!   `classifier` trains the small classifier of the comparisons (feature `autodiff`);
//! - [`parity`], [`e2e`] and [`verify`] check this program against others' arrays, a device against the CPU, and a model on this
//!   machine;
//! - [`bench_model`] times models of published size.

pub mod bench_model;
pub mod block_cache;
mod circumstances;
#[cfg(feature = "autodiff")]
pub mod classifier;
mod compare;
pub mod e2e;
mod error;
#[cfg(feature = "autodiff")]
mod examples;
pub mod fit;
pub mod held_out;
pub mod parity;
#[cfg(feature = "autodiff")]
mod resumed;
pub mod route;
pub mod study;
pub mod verify;

pub use circumstances::{VERSION, circumstances};
pub use compare::{Candidate, Decider, Evaluation, Images, compare, draw};
pub use error::{Error, Result};
#[cfg(feature = "autodiff")]
pub use examples::ExampleSet;
