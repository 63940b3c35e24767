//! FLOPs of the layers that both model families are built from.

/// FLOPs of a linear layer on `rows` vectors.
pub(super) fn linear(rows: usize, inputs: usize, outputs: usize) -> f64 {
    2.0 * rows as f64 * inputs as f64 * outputs as f64
}

/// FLOPs of scores and weighted values of full self-attention over `tokens`, all heads together `dim` wide.
pub(super) fn attention(tokens: usize, dim: usize) -> f64 {
    4.0 * (tokens as f64).powi(2) * dim as f64
}

/// Width of the sinusoid that enters a timestep embedding, in both model families.
pub(super) const SINUSOID: usize = 256;

/// FLOPs of a two-layer embedding `inputs -> dim -> dim` of one vector.
pub(super) fn embedding(inputs: usize, dim: usize) -> f64 {
    linear(1, inputs, dim) + linear(1, dim, dim)
}
