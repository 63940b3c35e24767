//! The laws of calibration, on a toy model.

mod atlas;
mod block_changes;
mod calibrate;
mod closed_loop;
mod fitted;
mod least_error;
mod mix;
mod modules;
mod record;
mod rivals;
#[cfg(feature = "autodiff")]
mod router;
#[cfg(feature = "autodiff")]
mod scale_shift;
mod toy;
