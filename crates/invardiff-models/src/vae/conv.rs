//! Convolutions.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::{conv2d, interpolate};
use burn::tensor::ops::{ConvOptions, InterpolateMode, InterpolateOptions, PadMode};

/// A convolution with its padding and resampling.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[channels_out, channels_in, rows, columns]`
    pub weight: Param<Tensor<4>>,
    /// `[channels_out]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) sampling: Sampling,
}

/// How a convolution changes height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Height and width stay: zero padding on all sides.
    Same,
    /// Halves both: stride 2, padded with zeros below and to the right.
    Down,
    /// Doubles both: pixels are repeated before the convolution.
    Up,
}

impl Conv {
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - result: `[batch, channels_out, height, width]`, both doubled or halved as [`Sampling`] says
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, _, rows, columns] = weight.dims();
        let around = [rows / 2, columns / 2];
        let (x, stride, padding) = match self.sampling {
            Sampling::Same => (x, [1, 1], around),
            Sampling::Down => (x.pad((0, 1, 0, 1), PadMode::Constant(0.0)), [2, 2], [0, 0]),
            Sampling::Up => (double(x), [1, 1], around),
        };
        conv2d(x, weight, Some(self.bias.val()), ConvOptions::new(stride, padding, [1, 1], 1))
    }
}

/// Nearest-neighbour upsampling by two.
fn double(x: Tensor<4>) -> Tensor<4> {
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_scale_factor([2.0, 2.0]))
}
