//! One module per command: its arguments and what it does.

pub mod bench_model;
pub mod block_cache;
pub mod compare;
pub mod e2e;
pub mod fit;
#[cfg(not(feature = "autodiff"))]
mod gradients;
pub mod labels;
pub mod parity;
pub mod request;
pub mod route;
pub mod source;
#[cfg(feature = "autodiff")]
pub mod train_classifier;
#[cfg(feature = "autodiff")]
mod training;
pub mod verify;
