//! Embeddings: patches, positions, timesteps.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::silu;
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::block::project;
use super::config::{DitConfig, Numerics};

/// Sines and cosines of a timestep.
pub(crate) const FREQUENCY_CHANNELS: usize = 256;
const MAX_PERIOD: f64 = 10_000.0;

/// Cuts a sample into patches and projects each to a token.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The strided convolution of the original, as a linear map of the patch's values (channel, row, column).
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

/// Embeds timesteps: sines and cosines of 128 frequencies, then two linear maps with a SiLU
/// between.
#[derive(Module, Debug)]
pub struct TimestepEmbedder {
    /// The first linear map.
    pub fc1: Linear,
    /// The second linear map.
    pub fc2: Linear,
    /// The frequencies `[128]`, f32 in any model.
    pub(crate) frequencies: Tensor<1>,
}

impl TimestepEmbedder {
    /// # Shapes
    /// - `t`: `[batch]`
    /// - result: `[batch, dim]`
    pub fn forward(&self, t: Tensor<1>) -> Tensor<2> {
        let dtype = self.fc1.weight.dtype();
        self.fc2.forward(silu(self.fc1.forward(self.sinusoid(t).cast(dtype))))
    }

    /// Cosines, then sines, of the timestep at every frequency.
    ///
    /// # Shapes
    /// - `t`: `[batch]`
    /// - result: `[batch, 256]`
    pub fn sinusoid(&self, t: Tensor<1>) -> Tensor<2> {
        let angles =
            t.cast(DType::F32).unsqueeze_dim::<2>(1) * self.frequencies.clone().unsqueeze_dim::<2>(0);
        Tensor::cat(vec![angles.clone().cos(), angles.sin()], 1)
    }
}

/// The frequencies of a timestep's sines and cosines. Rounded to f32 where the reference rounds, and as it rounds: at
/// timestep 999 an error of one unit in the last place of a frequency is up to 6e-5 in the angle, at guidance scale 7
/// (times 1000, in FLUX) seven times that.
pub(crate) fn frequencies(numerics: Numerics, device: &Device) -> Tensor<1> {
    let half = FREQUENCY_CHANNELS / 2;
    let spacing = match numerics {
        Numerics::Original => half as f32,
        Numerics::Diffusers => (half - 1) as f32,
    };
    let rate = -MAX_PERIOD.ln() as f32;
    let mut values: Vec<f32> = (0..half).map(|i| f64::from(rate * i as f32 / spacing).exp() as f32).collect();
    let [first, second] = not_nearest(numerics);
    values[first] = values[first].next_up();
    values[second] = match numerics {
        Numerics::Original => values[second].next_up(),
        Numerics::Diffusers => values[second].next_down(),
    };
    Tensor::from_data(TensorData::new(values, [half]), (device, DType::F32))
}

/// The two frequencies that PyTorch's exponential (on the CPU, within one unit in the last place) does not round to the
/// nearest f32 but to the other neighbour: told by the sines that it computed with them.
fn not_nearest(numerics: Numerics) -> [usize; 2] {
    match numerics {
        Numerics::Original => [13, 44],
        Numerics::Diffusers => [10, 52],
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
