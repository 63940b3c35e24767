//! Embeddings of patches and positions.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::config::DitConfig;
use crate::nn::{MAX_PERIOD, project};

/// Cuts a sample into patches and projects each to a token.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The strided convolution of the original, as a linear layer over the patch's values (channel, row, column).
    pub proj: Linear,
    #[module(skip)]
    pub(crate) patch_size: usize,
}

impl PatchEmbed {
    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`
    /// - result: `[batch, tokens, dim]`, tokens row by row
    pub fn forward(&self, x: Tensor<4>) -> Tensor<3> {
        let [batch, channels, height, width] = x.dims();
        let p = self.patch_size;
        let (rows, columns) = (height / p, width / p);
        let patches = x
            .reshape([batch, channels, rows, p, columns, p])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, rows * columns, channels * p * p]);
        project(&self.proj, patches)
    }
}

/// Fixed sine-cosine embedding of positions: the first half of the channels encodes the column, the second the row.
///
/// # Shapes
/// - result: `[1, tokens, hidden_size]`, flat
pub(crate) fn position_table(config: &DitConfig) -> Vec<f32> {
    let (grid, quarter) = (config.grid(), config.hidden_size / 4);
    let omega: Vec<f64> = (0..quarter).map(|i| MAX_PERIOD.powf(i as f64 / quarter as f64).recip()).collect();
    let mut table = Vec::with_capacity(config.tokens() * config.hidden_size);
    for row in 0..grid {
        for column in 0..grid {
            for position in [column, row] {
                table.extend(omega.iter().map(|omega| (position as f64 * omega).sin() as f32));
                table.extend(omega.iter().map(|omega| (position as f64 * omega).cos() as f32));
            }
        }
    }
    table
}
