//! Timestep embedding.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::silu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::build::Weights;

/// Number of sines and cosines of a timestep.
pub(crate) const FREQUENCY_CHANNELS: usize = 256;
/// The longest period of the sines, in the unit of the embedded value.
pub(crate) const MAX_PERIOD: f64 = 10_000.0;

/// Which of the two published implementations is reproduced. They differ in two constants only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numerics {
    /// As the DiT authors: frequencies `10000^(-i/half)`, both norms of a block with epsilon 1e-6. Weights were trained so.
    #[default]
    Original,
    /// As the diffusers library: frequencies `10000^(-i/(half-1))`, the second norm of a block with epsilon 1e-5.
    Diffusers,
}

/// Embeds timesteps: sines and cosines of 128 frequencies, then two linear layers with a SiLU between them.
#[derive(Module, Debug)]
pub struct TimestepEmbedder {
    /// The first linear layer.
    pub fc1: Linear,
    /// The second linear layer.
    pub fc2: Linear,
    /// The frequencies `[128]`, f32 in any model.
    frequencies: Tensor<1>,
}

impl TimestepEmbedder {
    /// Builds the embedder whose linear layers have these names, `dim` channels wide.
    pub(crate) fn build<W: Weights>(
        weights: &mut W,
        [first, second]: [&str; 2],
        dim: usize,
        numerics: Numerics,
        device: &Device,
    ) -> Result<Self, W::Error> {
        Ok(Self {
            fc1: weights.linear(first, FREQUENCY_CHANNELS, dim)?,
            fc2: weights.linear(second, dim, dim)?,
            frequencies: frequencies(numerics, device),
        })
    }

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
fn frequencies(numerics: Numerics, device: &Device) -> Tensor<1> {
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

/// The two frequencies that PyTorch's exponential (on the CPU, within one unit in the last place) rounds to the other
/// neighbour instead of the nearest f32; found from the sines that it computed with them.
fn not_nearest(numerics: Numerics) -> [usize; 2] {
    match numerics {
        Numerics::Original => [13, 44],
        Numerics::Diffusers => [10, 52],
    }
}
