//! Shapes of the published models, and what their modules cost.
//!
//! FLOPs are 2 x multiply-accumulate of matrix products; norms, softmax, biases and other pointwise work are left out.
//! On this count DiT-XL/2 at 256x256 takes 237 GFLOP a picture and FLUX.1-dev at 1024x1024 takes 74.38 TFLOP.

mod dit;
mod flux;
mod named;

pub use dit::{DitShape, DitSize};
pub use flux::{FluxShape, SingleFeature};

/// FLOPs of a linear layer on `rows` vectors.
fn linear(rows: usize, inputs: usize, outputs: usize) -> f64 {
    2.0 * rows as f64 * inputs as f64 * outputs as f64
}

/// FLOPs of scores and weighted values of full self-attention over `tokens`, all heads together `dim` wide.
fn attention(tokens: usize, dim: usize) -> f64 {
    4.0 * (tokens as f64).powi(2) * dim as f64
}

/// Width of the sinusoid that enters a timestep embedding, in both model families.
const SINUSOID: usize = 256;

/// FLOPs of a two-layer embedding `inputs -> dim -> dim` of one vector.
fn embedding(inputs: usize, dim: usize) -> f64 {
    linear(1, inputs, dim) + linear(1, dim, dim)
}
