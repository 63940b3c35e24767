//! The commands as they are run, with few steps.

mod compare;
mod fit;
mod generate;
mod help;
mod plan;
mod siblings;
mod support;
mod verify;
