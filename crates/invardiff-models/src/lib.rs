//! Diffusion transformers with one forward each, their text encoders and autoencoders, and loaders for published weights.
//!
//! A transformer here is a burn module whose forward takes an [`Executor`](invardiff_runtime::Executor) and names each
//! cacheable value where it computes it. There is no second forward for caching, and there are no hooks and no state. The parts that run once
//! per image take no executor: text encoders with their tokenizers ([`text`]), and autoencoders ([`vae`]).
//!
//! ```no_run
//! use burn::tensor::Device;
//! use invardiff_models::Dit;
//!
//! let loaded = Dit::load("DiT-XL-2-256x256.pt", &Device::flex())?;
//! println!("{} {}", loaded.model.config().name(), loaded.sha256);
//! # Ok::<(), invardiff_models::LoadError>(())
//! ```

mod config;
pub mod dit;
pub mod flux;
mod golden;
mod load;
pub mod nn;
mod random;
pub mod text;
pub mod vae;

pub use config::ConfigError;
pub use dit::{Dit, DitConfig, LabelError, NoiseName};
pub use flux::{Canvas, CondError, Flux, FluxCond, FluxConfig};
pub use golden::{Difference, Golden};
pub use load::{
    Architecture, FoundTensor, KeyLayout, KeyProblems, LoadError, LoadOptions, Loaded, Lora, Misshapen,
    NoWeights, Outline, WeightsOf, read_tensors, read_weights, weight_files,
};
pub use nn::Numerics;
pub use text::{
    ClipActivation, ClipConfig, ClipOutput, ClipText, ClipTokenizer, Encoded, IdsError, T5Activation,
    T5Config, T5Encoder, T5Tokenizer, TokenizerError,
};
pub use vae::{AutoencoderKl, DecoderStage, LatentDistribution, Tiling, TilingError, VaeConfig};
