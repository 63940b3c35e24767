//! Building blocks that several models share, and how models are built from named weights.

mod build;
mod linear;
mod mlp;
mod modulation;
mod norm;
mod range;
mod timestep;

pub use mlp::Mlp;
pub use norm::Norm;
pub use timestep::{Numerics, TimestepEmbedder};

pub(crate) use build::{Build, Init, Sizes, Weights};
pub(crate) use linear::project;
pub(crate) use mlp::gelu_tanh;
pub(crate) use modulation::{chunks, modulate};
pub(crate) use range::within_range;
pub(crate) use timestep::{FREQUENCY_CHANNELS, MAX_PERIOD};
