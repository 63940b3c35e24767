//! InvarDiff: measure, plan and replay feature caching in diffusion transformers.
//!
//! This crate composes the others: pipelines that sample with or without a plan ([`ClassToImage`]), the embedded models
//! ([`Embedded`]), and the command line. For single concerns take the crates themselves: `invardiff-plan` (plans as data),
//! `invardiff-runtime` (the seam), `invardiff-models`, `invardiff-calib`, `invardiff-eval`.

mod adjustment;
mod class_to_image;
pub mod cli;
pub mod commands;
mod compare;
mod device;
mod files;
mod hub;
mod locate;
mod model;
mod parity;
mod pipeline;
mod progress;
mod routers;
mod sampler;
pub mod stdout;
mod tensor_file;
mod units;

pub use adjustment::{adjustment_path, read_adjustment, write_adjustment};
pub use class_to_image::{ClassToImage, GuidedDit};
pub use compare::{Contender, Judged, Pictures, compare, draw};
pub use device::DeviceChoice;
pub use hub::{Hub, HubError, HubId};
pub use model::{Embedded, NamedDit};
pub use pipeline::{Pipeline, SamplingOptions, to_array};
pub use progress::bar;
pub use routers::{read_routers, write_routers};
pub use sampler::{DitHistory, DitSampler, SamplerKind};
