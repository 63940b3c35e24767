//! The laws of calibration, on a toy model.

mod atlas;
mod calibrate;
mod closed_loop;
mod record;
mod toy;
