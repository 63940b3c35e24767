//! The laws of calibration, on a toy model.

mod atlas;
mod baselines;
mod block_caching;
mod calibrate;
mod closed_loop;
mod fitted;
mod least_error;
mod mix;
mod modules;
mod record;
#[cfg(feature = "autodiff")]
mod router;
#[cfg(feature = "autodiff")]
mod scale_shift;
mod toy;
