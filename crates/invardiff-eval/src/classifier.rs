//! A small convolutional classifier: class accuracy of images, and features for a Fréchet distance.

mod shape;

use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, linear};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};
use ndarray::{Array2, ArrayView4, Axis};

pub use shape::ClassifierShape;

use crate::error::EvalError;

/// Images seen at once.
const BATCH: usize = 250;

/// Four convolutions of 3x3 (16, 32, 64 and 64 channels; all but the second halve the image), one layer to
/// [`ClassifierShape::FEATURES`] features, one from these to the classes.
///
/// All parameters are one vector, so that a training needs one leaf and one gradient; [`ClassifierShape::parameters`] says
/// what lies where.
#[derive(Clone, Debug)]
pub struct Classifier {
    shape: ClassifierShape,
    parameters: Tensor<1>,
}

/// What a classifier makes of a batch.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// What the last layer reads, before its rectifier: `[batch, FEATURES]`.
    pub features: Tensor<2>,
    /// `[batch, classes]`.
    pub logits: Tensor<2>,
}

/// What a classifier makes of images, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified {
    /// `[images, FEATURES]`.
    pub features: Array2<f32>,
    /// The likeliest class of each image.
    pub classes: Vec<usize>,
}

impl Classifier {
    /// The classifier with these parameters, f32.
    ///
    /// # Shapes
    /// - `parameters`: `[shape.len()]`
    ///
    /// # Errors
    /// [`EvalError::Shape`] for another number of parameters.
    pub fn new(shape: ClassifierShape, parameters: Tensor<1>) -> Result<Self, EvalError> {
        let ([found], expected) = (parameters.dims(), shape.len());
        if found == expected {
            return Ok(Self { shape, parameters });
        }
        let (what, expected) = ("the parameters of a classifier".into(), format!("[{expected}]"));
        Err(EvalError::Shape { what, expected, found: vec![found] })
    }

    /// What it is for.
    pub fn shape(&self) -> ClassifierShape {
        self.shape
    }

    /// The parameters in the order of [`ClassifierShape::parameters`].
    ///
    /// # Errors
    /// [`EvalError::Device`] when they cannot be read.
    pub fn parameters(&self) -> Result<Vec<f32>, EvalError> {
        let values = self.parameters.clone().try_into_vec_as::<f32>();
        values.map_err(|error| EvalError::Device {
            what: "the parameters of a classifier",
            detail: error.to_string(),
        })
    }

    /// Features and logits.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels, size, size]` in `-1 ..= 1`
    pub fn forward(&self, x: Tensor<4>) -> Prediction {
        let mut places = self.places();
        let mut next = || places.next().unwrap_or_else(|| unreachable!("the shape lists every parameter"));
        let mut x = x;
        for stride in ClassifierShape::STRIDES {
            let (weight, bias) = (next().kernel(), next().vector());
            x = relu(conv2d(x, weight, Some(bias), ConvOptions::new([stride; 2], [1; 2], [1; 2], 1)));
        }
        let (weight, bias) = (next().matrix(), next().vector());
        let features = linear(x.flatten::<2>(1, 3), weight, Some(bias));
        let (weight, bias) = (next().matrix(), next().vector());
        let logits = linear(relu(features.clone()), weight, Some(bias));
        Prediction { features, logits }
    }

    /// Features and classes of images in `-1 ..= 1`.
    ///
    /// # Shapes
    /// - `images`: `[images, channels, size, size]`
    ///
    /// # Errors
    /// [`EvalError::Shape`] for other images, [`EvalError::Device`] when the result cannot be read.
    pub fn classify(&self, images: ArrayView4<'_, f32>) -> Result<Classified, EvalError> {
        let ClassifierShape { channels, size, classes } = self.shape;
        if images.shape()[1..] != [channels, size, size] {
            let expected = format!("[images, {channels}, {size}, {size}], which it was trained on");
            let (what, found) = ("the batch that a classifier sees".into(), images.shape().to_vec());
            return Err(EvalError::Shape { what, expected, found });
        }
        let (mut features, mut best) = (Vec::new(), Vec::new());
        for batch in images.axis_chunks_iter(Axis(0), BATCH) {
            let data = TensorData::new(batch.iter().copied().collect::<Vec<f32>>(), batch.shape().to_vec());
            let prediction = self.forward(Tensor::from_data(data, &self.parameters.device()));
            features.extend(values(prediction.features)?);
            let logits = values(prediction.logits)?;
            best.extend(logits.chunks(classes).map(likeliest));
        }
        let shape = (best.len(), ClassifierShape::FEATURES);
        let features = Array2::from_shape_vec(shape, features).map_err(|error| EvalError::Device {
            what: "the features of a classifier",
            detail: error.to_string(),
        })?;
        Ok(Classified { features, classes: best })
    }

    /// The parameters in order, each cut out of the vector.
    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let mut start = 0;
        self.shape.parameters().into_iter().map(move |(_, shape)| {
            let (parameters, from) = (&self.parameters, start);
            start += shape.iter().product::<usize>();
            Place { parameters, from, shape }
        })
    }
}

/// One parameter.
struct Place<'a> {
    parameters: &'a Tensor<1>,
    from: usize,
    shape: Vec<usize>,
}

impl Place<'_> {
    fn vector(&self) -> Tensor<1> {
        let length: usize = self.shape.iter().product();
        self.parameters.clone().narrow(0, self.from, length)
    }

    fn matrix(&self) -> Tensor<2> {
        self.vector().reshape([self.shape[0], self.shape[1]])
    }

    fn kernel(&self) -> Tensor<4> {
        self.vector().reshape([self.shape[0], self.shape[1], self.shape[2], self.shape[3]])
    }
}

fn values(x: Tensor<2>) -> Result<Vec<f32>, EvalError> {
    x.try_into_vec_as::<f32>()
        .map_err(|error| EvalError::Device { what: "what a classifier sees", detail: error.to_string() })
}

/// The place of the largest logit, the first of equal ones.
fn likeliest(logits: &[f32]) -> usize {
    let better =
        |best: usize, (place, value): (usize, &f32)| if *value > logits[best] { place } else { best };
    logits.iter().enumerate().fold(0, better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use ndarray::Array4;

    const SHAPE: ClassifierShape = ClassifierShape { channels: 1, size: 8, classes: 3 };

    fn classifier(parameters: Vec<f32>) -> Classifier {
        let data = TensorData::new(parameters, [SHAPE.len()]);
        Classifier::new(SHAPE, Tensor::from_data(data, &Device::flex())).unwrap()
    }

    #[test]
    fn a_image_is_seen_alike_in_any_batch() {
        let classifier = classifier(SHAPE.initial(3));
        let images = Array4::from_shape_fn((BATCH + 3, 1, 8, 8), |(n, _, y, x)| {
            ((n * 31 + y * 7 + x * 3) % 17) as f32 / 8.5 - 1.0
        });
        let all = classifier.classify(images.view()).unwrap();
        assert_eq!((all.features.dim(), all.classes.len()), ((BATCH + 3, 32), BATCH + 3));
        for place in [0, BATCH + 2] {
            let one = images.slice_axis(Axis(0), (place..=place).into());
            let one = classifier.classify(one).unwrap();
            assert_eq!(one.classes[0], all.classes[place]);
            for (a, b) in one.features.iter().zip(all.features.row(place)) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    /// With all weights 0 the features are their biases and the logits theirs.
    #[test]
    fn parameters_lie_where_the_shape_says() {
        let mut parameters = vec![0.0; SHAPE.len()];
        let total = parameters.len();
        parameters[total - 3..].copy_from_slice(&[1.0, 5.0, 5.0]);
        let features = total - 3 - 3 * ClassifierShape::FEATURES - ClassifierShape::FEATURES;
        parameters[features] = -2.0;
        let seen = classifier(parameters).classify(Array4::ones((2, 1, 8, 8)).view()).unwrap();
        assert_eq!(seen.classes, [1, 1], "the first of equal logits");
        assert_eq!((seen.features[[0, 0]], seen.features[[1, 1]]), (-2.0, 0.0));
    }

    #[test]
    fn other_images_and_other_parameters_are_refused() {
        let classifier = classifier(SHAPE.initial(0));
        let message = classifier.classify(Array4::zeros((2, 3, 8, 8)).view()).unwrap_err().to_string();
        assert!(message.contains("[2, 3, 8, 8]") && message.contains("[images, 1, 8, 8]"), "{message}");
        assert!(Classifier::new(SHAPE, Tensor::zeros([7], &Device::flex())).is_err());
    }
}
