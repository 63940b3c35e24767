//! A backbone's convolutions as burn modules.

use burn::module::{Module, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::backbone::{Backbone, Convolution, Layer, POOL};
use super::weights::Weights;

/// A backbone, cut where activations are compared.
#[derive(Module, Debug)]
pub(super) struct Features {
    slices: Vec<Vec<Stage>>,
}

/// One layer.
#[allow(clippy::large_enum_variant, reason = "there are at most eleven, and a burn module cannot be boxed")]
#[derive(Module, Debug)]
enum Stage {
    Conv(Conv2d),
    Pool(MaxPool2d),
    Fire(Fire),
}

/// A fire module.
#[derive(Module, Debug)]
struct Fire {
    squeeze: Conv2d,
    expand1x1: Conv2d,
    expand3x3: Conv2d,
}

impl Features {
    /// Takes the parameters out of `weights`, which must have been checked against `backbone`.
    pub(super) fn new(backbone: Backbone, weights: &mut Weights, device: &Device) -> Self {
        let mut slices = Vec::new();
        for (number, (layers, _)) in backbone.layers().iter().enumerate() {
            slices.push(layers.iter().map(|layer| Stage::new(*layer, number, weights, device)).collect());
        }
        Self { slices }
    }

    /// The activations to compare.
    ///
    /// # Shapes
    /// - `x`: `[batch, 3, height, width]`
    /// - result: one `[batch, channels, height, width]` a slice
    pub(super) fn forward(&self, mut x: Tensor<4>) -> Vec<Tensor<4>> {
        let mut activations = Vec::with_capacity(self.slices.len());
        for slice in &self.slices {
            x = slice.iter().fold(x, |x, stage| stage.forward(x));
            activations.push(x.clone());
        }
        activations
    }
}

impl Stage {
    fn new(layer: Layer, slice: usize, weights: &mut Weights, device: &Device) -> Self {
        let mut convolutions = layer.convolutions(slice).into_iter();
        let mut next = || convolutions.next().map(|it| convolution(it, weights, device));
        match (layer, next(), next(), next()) {
            (Layer::Conv { .. }, Some(conv), ..) => Self::Conv(conv),
            (Layer::Fire { .. }, Some(squeeze), Some(expand1x1), Some(expand3x3)) => {
                Self::Fire(Fire { squeeze, expand1x1, expand3x3 })
            }
            (Layer::Pool { ceil }, ..) => {
                let (side, stride) = POOL;
                let pool = MaxPool2dConfig::new([side; 2]).with_strides([stride; 2]).with_ceil_mode(ceil);
                Self::Pool(pool.init())
            }
            (Layer::Conv { .. } | Layer::Fire { .. }, ..) => unreachable!("a layer lists its convolutions"),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(conv) => relu(conv.forward(x)),
            Self::Pool(pool) => pool.forward(x),
            Self::Fire(fire) => fire.forward(x),
        }
    }
}

impl Fire {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = relu(self.squeeze.forward(x));
        let sides = [&self.expand1x1, &self.expand3x3].map(|expand| relu(expand.forward(x.clone())));
        Tensor::cat(sides.to_vec(), 1)
    }
}

fn convolution(it: Convolution, weights: &mut Weights, device: &Device) -> Conv2d {
    let pad = it.padding;
    let mut conv = Conv2dConfig::new(it.channels, [it.kernel; 2])
        .with_stride([it.stride; 2])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .init(device);
    conv.weight = Param::from_data(weights.take(&format!("{}.weight", it.key)), device);
    conv.bias = Some(Param::from_data(weights.take(&format!("{}.bias", it.key)), device));
    conv
}
