//! The commands as they are run, with few steps.

mod bench_model;
mod compare;
mod devices;
mod e2e;
mod early;
#[cfg(target_os = "linux")]
mod faults;
mod fit;
mod generate;
mod help;
mod plan;
mod support;
#[cfg(feature = "autodiff")]
mod train_classifier;
mod trained_methods;
mod verify;
