//! Shapes of the published models, and what their modules cost.
//!
//! FLOPs are 2 x multiply-accumulate of matrix products; norms, softmax, biases and other pointwise work are left out.
//! On this count DiT-XL/2 at 256x256 takes 237 GFLOP a picture and FLUX.1-dev at 1024x1024 takes 74.38 TFLOP.

mod dit;
mod flops;
mod flux;
mod named;

pub use dit::{DitShape, DitSize};
pub use flux::{FluxShape, SingleFeature};
