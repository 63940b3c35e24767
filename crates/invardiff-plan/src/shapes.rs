//! The shapes of published models, and the FLOPs of their modules.
//!
//! FLOPs are 2 x multiply-accumulate of matrix products; norms, softmax, biases and other pointwise work are left out.
//! One forward per image takes 237 GFLOP for DiT-XL/2 at 256x256 and 74.38 TFLOP for FLUX.1-dev at 1024x1024.

mod dit;
mod flops;
mod flux;
mod named;

pub use dit::{DitShape, DitSize};
pub use flux::{FluxShape, SingleFeature};
