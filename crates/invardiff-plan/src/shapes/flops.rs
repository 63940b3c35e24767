//! FLOPs of the layers in both model families.

/// FLOPs of a linear layer on `rows` vectors.
pub(super) fn linear(rows: usize, inputs: usize, outputs: usize) -> f64 {
    2.0 * rows as f64 * inputs as f64 * outputs as f64
}

/// FLOPs of the scores and weighted values of self-attention over `tokens` tokens, `dim` channels over all heads.
pub(super) fn attention(tokens: usize, dim: usize) -> f64 {
    4.0 * (tokens as f64).powi(2) * dim as f64
}

/// Channels of the sinusoidal timestep embedding, in both model families.
pub(super) const SINUSOID: usize = 256;

/// FLOPs of a two-layer embedding `inputs -> dim -> dim` of one vector.
pub(super) fn embedding(inputs: usize, dim: usize) -> f64 {
    linear(1, inputs, dim) + linear(1, dim, dim)
}
