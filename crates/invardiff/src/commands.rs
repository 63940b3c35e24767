//! One module a command: its arguments and what it does.

pub mod calibrate;
pub mod compare;
pub mod fit;
pub mod generate;
mod labels;
pub mod parity;
pub mod plan;
pub mod verify;
mod wanted;
