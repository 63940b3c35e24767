//! InvarDiff as a library: measure, plan and replay feature caching in diffusion transformers.
//!
//! This crate composes the ones below it, which it re-exports: [`plan`] (plans as data), [`runtime`] (the seam between a
//! model and what decides over its modules), [`models`], [`calib`] (calibration) and [`eval`] (image metrics). It adds
//! pipelines that sample with or without a plan ([`ClassToImage`], [`TextToImage`]) and the loading of models: weights from
//! a path ([`Pretrained`]), from a hub (`Hub`, cargo feature `hub`), or embedded (`Embedded`, cargo feature `embedded`).
//!
//! [`prelude`] has the names that most programs use.

mod adjustment;
mod class_to_image;
mod decode;
pub mod device;
mod dtype;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
pub mod fault;
pub mod files;
mod grid_check;
#[cfg(feature = "hub")]
mod hub;
mod locate;
mod lora;
mod memory;
mod model;
mod pipeline;
pub mod prelude;
mod prepared_dit;
mod pretrained;
mod published;
pub mod reference_classifier;
mod request;
mod routers;
mod sampler;
pub mod tensor_file;
mod text_to_image;
mod topology;
pub mod units;

pub use invardiff_calib as calib;
pub use invardiff_eval as eval;
pub use invardiff_models as models;
pub use invardiff_plan as plan;
pub use invardiff_runtime as runtime;

/// The code of the README, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

pub use adjustment::{adjustment_path, read_adjustment, write_adjustment};
pub use class_to_image::{ClassToImage, GuidedDit};
pub use device::{DeviceChoice, DeviceKind, Found, GpuBackend, OpenDevice, on_processor};
pub use dtype::Dtype;
#[cfg(feature = "embedded")]
pub use embedded::Embedded;
pub use error::{Error, Result};
#[cfg(feature = "hub")]
pub use hub::{Hub, HubError, HubId, ListedFile};
pub use locate::{locate, locate_with};
pub use lora::{check_loras, parse_lora};
pub use memory::{MemoryNeed, NoRoom, Phase, available};
pub use model::NamedDit;
pub use pipeline::{
    Caching, Calibrating, ModelFacts, Pipeline, Resampling, Sampling, SamplingOptions, Subjects, to_array,
};
pub use prepared_dit::PreparedDit;
pub use pretrained::{FlowShift, Pretrained, SchedulerConfig, TextParts};
pub use published::Preset;
pub use reference_classifier::{ClassifierFacts, ClassifierScores, RealImages, ReferenceClassifier};
pub use request::{ModelSource, PipelineWork, PlanSource, PromptRequest, ResolvedModel, RunRequest, Use};
pub use routers::{read_routers, write_routers};
pub use sampler::{DitHistory, DitSampler, SamplerKind};
pub use text_to_image::{
    Cut, EditImage, GuidedFlux, Keeps, PreparedFlux, Prompt, PromptCond, PromptEncoder, TextToImage,
    TextToImageOptions, pack, unpack,
};
pub use topology::{known_topology, topology};
