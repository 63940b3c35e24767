//! Diffusion transformers for InvarDiff, with one forward each, what stands around them, and loaders for their public weights.
//!
//! A model here is a burn module whose forward takes an [`Executor`](invardiff_runtime::Executor): it names each cacheable
//! value where it computes it. There is no second forward for caching, no hook and no state. What runs once a picture takes
//! none: the text encoders with their tokenizers ([`text`]) and the autoencoder ([`vae`]).
//!
//! ```no_run
//! use burn::tensor::Device;
//! use invardiff_models::Dit;
//!
//! let loaded = Dit::load("DiT-XL-2-256x256.pt", &Device::flex())?;
//! println!("{} {}", loaded.dit.config().name(), loaded.sha256);
//! # Ok::<(), invardiff_models::LoadError>(())
//! ```

mod build;
pub mod dit;
pub mod flux;
mod golden;
mod load;
mod random;
pub mod text;
pub mod vae;

pub use dit::{ConfigError, Dit, DitConfig, LabelError, NoiseName, Numerics};
pub use flux::{Canvas, CondError, Flux, FluxCond, FluxConfig};
pub use golden::{Difference, Golden};
pub use load::{
    Architecture, FoundTensor, KeyLayout, KeyProblems, LoadError, LoadOptions, LoadedDit, LoadedFlux, Lora,
    Misshapen, Outline, read_tensors,
};
pub use text::{
    ClipActivation, ClipConfig, ClipOutput, ClipText, ClipTokenizer, Encoded, IdsError, T5Activation,
    T5Config, T5Encoder, T5Tokenizer, TokenizerError,
};
pub use vae::{AutoencoderKl, DecoderStage, LatentDistribution, Tiling, TilingError, VaeConfig};
