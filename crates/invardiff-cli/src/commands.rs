//! One module per command: its arguments and what it does.

pub(crate) mod calibrate;
pub(crate) mod devices;
pub(crate) mod generate;
pub(crate) mod plan;
