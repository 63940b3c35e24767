//! Learned perceptual image patch similarity.

mod backbone;
mod features;
mod weights;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, ArrayView4, Axis};

pub use backbone::Backbone;
pub use weights::{Weights, formula_weights};

use crate::error::{EvalError, same_shape};
use features::Features;

/// Added to the norm of a feature vector, so that an all-zero one stays zero.
const EPSILON: f64 = 1e-10;

/// The LPIPS distance (Zhang et al. 2018) in the form of the `lpips` package, version 0.1: a backbone's activations,
/// normalised to unit length over channels, squared difference, weighted sum over channels, mean over positions, sum over
/// layers.
///
/// The architecture is here; the weights are the user's: [`Lpips::load`] reads them from a safetensors file.
#[derive(Module, Debug)]
pub struct Lpips {
    /// Per-channel shift of the input, `[1, 3, 1, 1]`.
    shift: Tensor<4>,
    /// Per-channel scale of the input, `[1, 3, 1, 1]`.
    scale: Tensor<4>,
    features: Features,
    /// One weight a channel, `[1, channels, 1, 1]`, one tensor a layer.
    lins: Vec<Param<Tensor<4>>>,
    #[module(skip)]
    backbone: Backbone,
}

impl Lpips {
    /// Reads the weights of `backbone` from a safetensors file with the keys of [`Backbone::parameters`] (those of the
    /// package's own state dict; its `scaling_layer.*` and the doubled `lins.*` may be there and are not read).
    ///
    /// # Errors
    /// [`EvalError::Read`] and [`EvalError::Format`] for the file, [`EvalError::Weights`] listing missing, unused and
    /// misshapen keys.
    pub fn load(path: &std::path::Path, backbone: Backbone, device: &Device) -> Result<Self, EvalError> {
        Self::new(backbone, Weights::read(path)?, device)
    }

    /// The metric with these weights.
    ///
    /// # Errors
    /// [`EvalError::Weights`] listing missing, unused and misshapen keys.
    pub fn new(backbone: Backbone, weights: Weights, device: &Device) -> Result<Self, EvalError> {
        let mut weights = weights.fitting(backbone)?;
        let features = Features::new(backbone, &mut weights, device);
        let lins = (0..backbone.layers().len())
            .map(|layer| Param::from_data(weights.take(&Backbone::lin_key(layer)), device))
            .collect();
        let row =
            |values: [f32; 3]| Tensor::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), device);
        // Mean and deviation of ImageNet, moved from [0, 1] to the input range [-1, 1] as the package rounds them.
        let (shift, scale) = (row([-0.030, -0.088, -0.188]), row([0.458, 0.448, 0.450]));
        Ok(Self { shift, scale, features, lins, backbone })
    }

    /// The contribution of every layer to the distance.
    ///
    /// # Shapes
    /// - `a`, `b`: `[batch, 3, height, width]` in `[-1, 1]`
    /// - result: one `[batch]` a layer
    pub fn forward(&self, a: Tensor<4>, b: Tensor<4>) -> Vec<Tensor<1>> {
        let activations = |x: Tensor<4>| self.features.forward((x - self.shift.clone()) / self.scale.clone());
        let (a, b) = (activations(a), activations(b));
        let pairs = a.into_iter().zip(b).zip(&self.lins);
        pairs
            .map(|((a, b), lin)| {
                let difference = (unit(a) - unit(b)).square() * lin.val();
                difference.sum_dim(1).mean_dim(2).mean_dim(3).squeeze_dims(&[1, 2, 3])
            })
            .collect()
    }

    /// The contribution of every layer, for images in `[-1, 1]`.
    ///
    /// # Shapes
    /// - `a`, `b`: `[batch, channels, height, width]`; one channel is taken as grey
    /// - result: `[batch, layers]`
    ///
    /// # Errors
    /// [`EvalError::ShapesDiffer`], [`EvalError::Shape`] for other than 1 or 3 channels or an empty batch,
    /// [`EvalError::TooSmall`] below the backbone's least size, [`EvalError::Device`] when the result cannot be read.
    pub fn layers(&self, a: ArrayView4<'_, f32>, b: ArrayView4<'_, f32>) -> Result<Array2<f64>, EvalError> {
        same_shape("the batches of an LPIPS", a.shape(), b.shape())?;
        let layers = self.forward(self.input(a)?, self.input(b)?);
        let mut out = Array2::zeros((a.len_of(Axis(0)), layers.len()));
        for (layer, mut column) in layers.into_iter().zip(out.columns_mut()) {
            let values = layer.try_into_vec_as::<f32>();
            let values = values.map_err(|error| EvalError::Device {
                what: "an LPIPS distance",
                detail: error.to_string(),
            })?;
            column.iter_mut().zip(values).for_each(|(out, value)| *out = f64::from(value));
        }
        Ok(out)
    }

    /// The distance of every pair of images in `[-1, 1]`: the sum of [`Lpips::layers`] over layers.
    ///
    /// # Errors
    /// As [`Lpips::layers`].
    pub fn distances(&self, a: ArrayView4<'_, f32>, b: ArrayView4<'_, f32>) -> Result<Vec<f64>, EvalError> {
        Ok(self.layers(a, b)?.sum_axis(Axis(1)).to_vec())
    }

    /// A batch on the device, grey repeated to three channels.
    fn input(&self, x: ArrayView4<'_, f32>) -> Result<Tensor<4>, EvalError> {
        let (batch, channels, height, width) = x.dim();
        if batch == 0 || !matches!(channels, 1 | 3) {
            let (what, found) = ("a batch of an LPIPS".to_owned(), x.shape().to_vec());
            let expected = "[batch, channels, height, width] with an image and 1 or 3 channels".to_owned();
            return Err(EvalError::Shape { what, expected, found });
        }
        let minimum = self.backbone.minimum_size();
        if height.min(width) < minimum {
            return Err(EvalError::TooSmall { metric: self.backbone.metric(), minimum, height, width });
        }
        let data = TensorData::new(x.iter().copied().collect::<Vec<f32>>(), [batch, channels, height, width]);
        let tensor = Tensor::<4>::from_data(data, &self.shift.device());
        Ok(tensor.expand([batch, 3, height, width]))
    }
}

/// Feature vectors of length 1, over channels.
fn unit(x: Tensor<4>) -> Tensor<4> {
    let norm = x.clone().square().sum_dim(1).sqrt();
    x / (norm + EPSILON)
}
