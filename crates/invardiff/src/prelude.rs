//! The names that most programs use: `use invardiff::prelude::*;`.

#[cfg(feature = "embedded")]
pub use crate::Embedded;
pub use crate::{
    ClassToImage, DeviceChoice, Dtype, NamedDit, OpenDevice, Pipeline, Pretrained, SamplerKind,
    SamplingOptions, TextToImage, TextToImageOptions,
};
#[cfg(feature = "hub")]
pub use crate::{Hub, HubId};
pub use invardiff_calib::{Goal, LeastErrorOptions, Run, Session, SharedDenoiser};
pub use invardiff_plan::two_phase::Settings;
pub use invardiff_plan::{CachePlan, Kind, Schedule, Site, Topology};
pub use invardiff_runtime::{Denoiser, Executor, Full, Policy, Replay, Sampler, sample, sample_with};
