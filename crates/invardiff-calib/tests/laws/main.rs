//! The laws of calibration, on a toy model.

mod atlas;
mod calibrate;
mod record;
mod toy;
