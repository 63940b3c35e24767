//! Calibration: how features change along a trajectory, and what plan follows.
//!
//! Everything here is generic over [`Denoiser`](invardiff_runtime::Denoiser) and knows no model:
//!
//! - [`calibrate`] is the two-phase calibration of the paper (arXiv 2512.05134). Its second phase compares other pairs of
//!   the same uncached features, so one pass of the model serves both: a [`Record`] notes the distances of every step to
//!   those of a window before it, and only what lies beyond is measured in a second pass.
//! - [`measure_atlas`] measures what every possible skip would cost, for the planner of least error
//!   ([`invardiff_plan::front`]); a [`ClosedLoop`] then replays a plan on the same runs.
//! - [`Mix`] is Learning-to-Cache's blend of fresh and kept values, [`measure_block_changes`] what Block Caching plans from. With
//!   the feature `autodiff`, `RouterTraining` trains routers through that blend, and `ScaleShiftTraining` the vectors that
//!   adjust reused values; both leave the model's weights as they are.
//!
//! The model below has one module and no weights; `examples/own_model.rs` has two kinds of module with weights of burn.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use invardiff_calib::{RecordOptions, Run, calibrate};
//! use invardiff_plan::{Phases, Settings, Variant, WarmUp};
//! use invardiff_runtime::{
//!     Denoiser, Executor, FlowMatchEuler, GaussianNoise, Kind, Replay, Shift, Site, SiteSpec, Topology, sample,
//! };
//!
//! const WAVE: Site = Site::new(Kind::new("wave"), 0);
//!
//! /// Sees a sine in everything: the velocity of a sample `[batch, 8, 4]`.
//! struct Sine;
//!
//! impl Denoiser<3> for Sine {
//!     type Cond = ();
//!
//!     fn topology(&self) -> Topology {
//!         let (model, sites) = ("sine".into(), vec![SiteSpec::single(WAVE, 8, 4, 64.0)]);
//!         let trunk = SiteSpec::single(Site::TRUNK, 8, 4, 0.0);
//!         Topology { model, sites, trunk, head_flops: 32.0, output_elements: 32 }
//!     }
//!
//!     fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, (): &()) -> Tensor<3> {
//!         let [clean] = exec.at(Site::TRUNK, |exec| exec.at(WAVE, |_| [(x.clone() * (1.0 - t)).sin()]));
//!         (x - clean) / t
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sampler = FlowMatchEuler::new(20, Shift::Static(1.0))?;
//! let noise = |seed| GaussianNoise::seeded(seed).draw([1, 8, 4], &Device::flex());
//! let runs: Vec<_> = (0..4).map(|seed| Run { noise: noise(seed), cond: () }).collect();
//! let settings = Settings {
//!     variant: Variant::Dit,
//!     gate_quantile: 0.5,
//!     quantiles: [(WAVE.kind, 0.3)].into(),
//!     warm_up: WarmUp::Steps(2),
//!     phases: Phases::Two,
//! };
//! let found = calibrate(&Sine, &sampler, &runs, &settings, &RecordOptions::default(), &|| ())?;
//! assert!(found.plan.skipped_steps() > 5);
//! assert_eq!(found.passes, 1); // nothing lay beyond the window
//!
//! let mut replay = Replay::new(found.plan.schedule(&Sine.topology())?.into());
//! let cached = sample(&Sine, &sampler, &mut replay, noise(4), &());
//! # assert_eq!(cached.dims(), [1, 8, 4]);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "autodiff")]
mod adam_w;
mod atlas;
mod block_changes;
mod calibrate;
mod changes;
mod closed_loop;
mod component_errors;
mod error;
mod mix;
mod modules;
mod readings;
mod record;
#[cfg(feature = "autodiff")]
mod router;
mod run;
#[cfg(feature = "autodiff")]
mod scale_shift;
mod similarity;
mod streams;
mod substitute;

#[cfg(feature = "autodiff")]
pub use adam_w::{AdamW, Moments};
pub use atlas::{AtlasOptions, measure_atlas, measure_atlases};
pub use block_changes::measure_block_changes;
pub use calibrate::{Outcome, RecordOptions, calibrate, record};
pub use changes::{Changes, measure_changes};
pub use closed_loop::ClosedLoop;
pub use component_errors::measure_component_errors;
pub use error::CalibError;
pub use mix::{Mix, MixStep};
pub use modules::{ModuleSearch, reuse_modules};
pub use record::{Pairs, Record, RecordStep};
#[cfg(feature = "autodiff")]
pub use router::{Example, Pair, RouterLoss, RouterSettings, RouterState, RouterTraining};
pub use run::Run;
#[cfg(feature = "autodiff")]
pub use scale_shift::{ScaleShiftLoss, ScaleShiftState, ScaleShiftTraining};
pub use similarity::Similarity;
pub use streams::Streams;
pub use substitute::Substitute;
