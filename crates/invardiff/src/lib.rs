//! InvarDiff: measure, plan and replay feature caching in diffusion transformers.
//!
//! This crate composes the others: pipelines that sample with or without a plan ([`ClassToImage`], [`TextToImage`]), the
//! embedded models ([`Embedded`]), weights from a path or a hub ([`Pretrained`], [`Hub`]), and the command line. For single concerns take the crates themselves: `invardiff-plan` (plans as data),
//! `invardiff-runtime` (the seam), `invardiff-models`, `invardiff-calib`, `invardiff-eval`.

mod adjustment;
mod bench_model;
mod class_to_image;
pub mod cli;
pub mod commands;
mod compare;
mod critic;
mod decode;
mod device;
mod dtype;
mod e2e;
#[cfg(feature = "autodiff")]
mod examples;
mod fault;
mod files;
mod held_out;
mod hub;
mod locate;
mod lora;
mod memory;
mod model;
mod parity;
mod pipeline;
mod pretrained;
mod progress;
mod routers;
mod sampler;
pub mod stdout;
mod tensor_file;
mod text_to_image;
mod units;

pub use adjustment::{adjustment_path, read_adjustment, write_adjustment};
pub use class_to_image::{ClassToImage, GuidedDit};
pub use compare::{Contender, How, Judged, Pictures, compare, draw};
pub use critic::{Critic, CriticFacts, Opinion, RealPictures};
pub(crate) use device::on_processor;
pub use device::{DeviceArg, DeviceChoice, DeviceKind, Found, GpuBackend, OpenDevice};
pub use dtype::Dtype;
#[cfg(feature = "autodiff")]
pub use examples::ExampleSet;
pub use hub::{Hub, HubError, HubId};
pub use lora::parse_lora;
pub use memory::{MemoryNeed, NoRoom, Phase, available, parse_limit};
pub use model::{Embedded, NamedDit};
pub use pipeline::{Pipeline, SamplingOptions, to_array};
pub use pretrained::{FlowShift, Pretrained, SchedulerConfig, TextParts};
pub use progress::{Bars, bar};
pub use routers::{read_routers, write_routers};
pub use sampler::{DitHistory, DitSampler, SamplerKind};
pub use text_to_image::{
    Cut, GuidedFlux, Keeps, PreparedFlux, Prompt, PromptCond, PromptEncoder, TextToImage, TextToImageOptions,
    pack, unpack,
};
