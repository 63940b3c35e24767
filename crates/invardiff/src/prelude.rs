//! The names that most programs use: `use invardiff::prelude::*;`.

pub use crate::class_to_image::ClassToImage;
pub use crate::device::{DeviceChoice, OpenDevice};
pub use crate::dtype::Dtype;
#[cfg(feature = "embedded")]
pub use crate::embedded::Embedded;
#[cfg(feature = "hub")]
pub use crate::hub::{Hub, HubId};
pub use crate::model::NamedDit;
pub use crate::pipeline::{
    Caching, Calibrating, ModelFacts, Pipeline, Resampling, Sampling, SamplingOptions, Subjects,
};
pub use crate::pretrained::Pretrained;
pub use crate::sampler::SamplerKind;
pub use crate::text_to_image::{TextToImage, TextToImageOptions};
pub use invardiff_calib::{Goal, LeastErrorOptions, Run, Session, SharedDenoiser};
pub use invardiff_plan::two_phase::Settings;
pub use invardiff_plan::{CachePlan, Kind, Schedule, Site, Topology};
pub use invardiff_runtime::{Denoiser, Executor, Full, Policy, Replay, Sampler, sample, sample_with};
