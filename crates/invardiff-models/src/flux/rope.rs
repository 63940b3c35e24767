//! Rotary position embedding over several axes.

use burn::tensor::{DType, Device, Tensor, TensorData};

const THETA: f64 = 10_000.0;

/// Rotates pairs of neighbouring channels of a head by angles that depend on the token's position (Su et al. 2021). Each axis
/// of a position has its own channels; of an axis with `d` channels, pair `i` is rotated by `position / 10000^(2 i / d)`.
#[derive(Clone, Debug)]
pub struct Rope {
    /// Cosines, once for each channel of a pair: `[1, 1, tokens, head_dim / 2, 2]`.
    cos: Tensor<5>,
    /// The factors of the pair's other channel: minus the sine, then the sine.
    sin: Tensor<5>,
}

impl Rope {
    /// The tables for tokens at these positions, with `axes[a]` channels (an even number) for axis `a`. Computed in f64 and
    /// rounded to f32, as in the reference.
    pub fn new(positions: &[[f32; 3]], axes: [usize; 3], device: &Device) -> Self {
        let frequencies = axes.map(|channels| {
            (0..channels / 2)
                .map(|i| THETA.powf(2.0 * i as f64 / channels as f64).recip())
                .collect::<Vec<_>>()
        });
        let angles = positions.iter().flat_map(|position| {
            position.iter().zip(&frequencies).flat_map(|(position, frequencies)| {
                frequencies.iter().map(|frequency| f64::from(*position) * frequency)
            })
        });
        let (cos, sin): (Vec<[f32; 2]>, Vec<[f32; 2]>) =
            angles.map(|angle| ([angle.cos() as f32; 2], [-angle.sin() as f32, angle.sin() as f32])).unzip();
        let shape = [1, 1, positions.len(), axes.iter().sum::<usize>() / 2, 2];
        let table = |values: Vec<[f32; 2]>| {
            Tensor::from_data(TensorData::new(values.into_flattened(), shape), (device, DType::F32))
        };
        Self { cos: table(cos), sin: table(sin) }
    }

    /// Cosine and sine of every pair's angle.
    ///
    /// # Shapes
    /// - results: `[tokens, head_dim / 2]`
    pub fn tables(&self) -> [Tensor<2>; 2] {
        [&self.cos, &self.sin].map(|table| {
            let [_, _, tokens, pairs, _] = table.dims();
            table.clone().narrow(4, 1, 1).reshape([tokens, pairs])
        })
    }

    /// Rotates queries or keys.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, heads, tokens, head_dim]`, f32
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let shape @ [batch, heads, tokens, head_dim] = x.dims();
        let pairs = x.reshape([batch, heads, tokens, head_dim / 2, 2]);
        let turned = pairs.clone() * self.cos.clone() + pairs.flip([4]) * self.sin.clone();
        turned.reshape(shape)
    }
}
