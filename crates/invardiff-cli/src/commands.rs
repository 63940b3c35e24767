//! One module per command: its arguments and what it does.

pub(crate) mod bench_model;
pub(crate) mod block_cache;
pub(crate) mod calibrate;
pub(crate) mod compare;
pub(crate) mod devices;
pub(crate) mod e2e;
pub(crate) mod fit;
pub(crate) mod generate;
#[cfg(not(feature = "autodiff"))]
mod gradients;
mod labels;
pub(crate) mod parity;
pub(crate) mod plan;
mod request;
pub(crate) mod route;
#[cfg(feature = "autodiff")]
pub(crate) mod train_classifier;
pub(crate) mod verify;
