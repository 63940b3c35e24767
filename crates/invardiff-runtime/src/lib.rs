//! The seam of InvarDiff: a model has one forward, and executors decide at every site of it whether to compute.
//!
//! A model names each cacheable value once, where it computes it, and passes the computation to an [`Executor`] as a closure:
//!
//! ```text
//! let [attn] = exec.at(Site::msa(layer), |_| [self.attn.forward(x.clone())]);
//! ```
//!
//! Full computation ([`Full`]), replay of a plan ([`Replay`]), rules that skip blocks ([`BlockSkip`]), calibration and timing
//! ([`Observed`]) are executors of that forward. There is no second forward, no hook, and no state in a module.
//!
//! # Example
//!
//! A model of one module, sampled in full and with a plan that reuses the module in every second step:
//!
//! ```
//! use std::sync::Arc;
//!
//! use burn::tensor::{Device, Tensor};
//! use invardiff_plan::CachePlan;
//! use invardiff_runtime::{
//!     Denoiser, Executor, FlowMatchEuler, Full, GaussianNoise, Replay, Shift, Site, SiteSpec, Topology, sample,
//! };
//!
//! struct Model;
//!
//! impl Denoiser<3> for Model {
//!     type Cond = ();
//!
//!     fn topology(&self) -> Topology {
//!         let spec = |site| SiteSpec::single(site, 4, 8, 1.0); // 4 tokens of 8 channels
//!         Topology {
//!             model: "example".into(),
//!             sites: vec![spec(Site::mlp(0))],
//!             trunk: spec(Site::TRUNK),
//!             head_flops: 0.0,
//!             output_elements: 4 * 8,
//!         }
//!     }
//!
//!     fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, _: &()) -> Tensor<3> {
//!         let [hidden] = exec.at(Site::TRUNK, |exec| {
//!             let [mlp] = exec.at(Site::mlp(0), |_| [x.clone().tanh() * t]);
//!             [x.clone() + mlp]
//!         });
//!         hidden
//!     }
//! }
//!
//! let sampler = FlowMatchEuler::new(4, Shift::Static(1.0))?;
//! let noise = GaussianNoise::seeded(0).draw([1, 4, 8], &Device::default());
//! let full = sample(&Model, &sampler, &mut Full, noise.clone(), &());
//!
//! let topology = Model.topology();
//! let mut plan = CachePlan::empty(&topology, 4);
//! plan.reuse_module(1, 0);
//! plan.reuse_module(3, 0);
//! let mut policy = Replay::new(Arc::new(plan.schedule(&topology)?));
//! let replayed = sample(&Model, &sampler, &mut policy, noise, &());
//!
//! assert_eq!(replayed.dims(), full.dims());
//! assert_eq!(policy.store().peak_bytes(), 4 * 8 * 4); // one feature in f32
//! # Ok::<(), invardiff_runtime::RuntimeError>(())
//! ```

mod block;
mod denoiser;
mod error;
mod executor;
mod feature;
mod flop_counter;
mod full;
mod guarded;
mod guidance;
mod observe;
mod policies;
mod progress;
mod replay;
mod sample;
mod sampler;
mod samplers;
mod scale_shift;
mod store;

pub use block::{Block, BlockAction};
pub use denoiser::Denoiser;
pub use error::RuntimeError;
pub use executor::{Executor, Pass, Policy};
pub use feature::Feature;
pub use flop_counter::FlopCounter;
pub use full::Full;
pub use guarded::{Guard, GuardStep, Guarded, GuardedStep};
pub use guidance::{BatchedGuidance, TwoPassCond, TwoPassGuidance};
pub use observe::{Event, Observed, ObservedStep};
pub use policies::{BlockSkip, BlockSkipStep, Decision, relative_change};
pub use progress::{Phase, Progress};
pub use replay::{Replay, ReplayStep};
pub use sample::{sample, sample_with};
pub use sampler::Sampler;
pub use samplers::{
    BetaSchedule, Ddim, DdimHistory, DpmHistory, DpmSolverPlusPlus, FirstOrder, FlowMatchEuler,
    GaussianNoise, Marginal, NoiseSchedule, ProbabilityPath, Shift, Spacing, UniPc, UniPcHistory,
};
pub use scale_shift::{Affine, ScaleShift};
pub use store::FeatureStore;

pub use invardiff_plan::methods::block_skip::SkipRule;
pub use invardiff_plan::{Kind, OutputForm, Site, SiteSpec, StreamSpec, Topology};
