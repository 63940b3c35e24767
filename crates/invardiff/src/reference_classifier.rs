//! A classifier that was trained on a model's data, with what it saw there: class accuracy and Fréchet distance of images.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_eval::{Classified, Classifier, ClassifierShape, Gaussian};
use ndarray::{Array1, Array2, Array4};
use serde::{Deserialize, Serialize};

use crate::error::{About, Error, Result};
use crate::tensor_file::TensorFile;

const FORMAT: &str = "invardiff-classifier";

/// A classifier and the features of the data's test images.
#[derive(Clone, Debug)]
pub struct ReferenceClassifier {
    /// The network.
    pub classifier: Classifier,
    /// Features of the test images.
    pub reference: Gaussian,
    /// What it was trained on, and how well it does.
    pub facts: ClassifierFacts,
}

/// What a classifier was trained on, and how well it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierFacts {
    /// Images and classes.
    pub shape: ClassifierShape,
    /// The data's name, with its licence.
    pub data: String,
    /// Images that it was trained on.
    #[serde(alias = "training_pictures")]
    pub training_images: usize,
    /// Test images: those of the accuracy and of the reference.
    #[serde(alias = "test_pictures")]
    pub test_images: usize,
    /// The share of test images whose class it finds.
    pub accuracy: f64,
    /// Whether training and reference hold mirrored images too.
    pub mirrored: bool,
    /// Fréchet distances that as many real images have to the reference.
    pub real: Vec<RealImages>,
    /// How it was trained, in words.
    pub recipe: String,
}

/// The Fréchet distance of real images: what a perfect model would get with so few.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealImages {
    /// How many training images, of all classes in turn.
    #[serde(alias = "pictures")]
    pub images: usize,
    /// The mean distance over several draws of them.
    pub frechet: f64,
}

/// What a classifier says of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassifierScores {
    /// Fréchet distance to the data; too large with few images.
    pub frechet: f64,
    /// The share of images whose class is found, where they have one.
    pub accuracy: Option<f64>,
}

impl ReferenceClassifier {
    /// Reads a file of [`ReferenceClassifier::write`].
    ///
    /// # Errors
    /// When it cannot be read or is none; names it.
    pub fn read(path: &Path, device: &Device) -> Result<Self> {
        Self::of(&TensorFile::read(path, FORMAT)?, device).about(path.display())
    }

    /// Reads the bytes of such a file.
    ///
    /// # Errors
    /// As [`ReferenceClassifier::read`], naming `file`.
    pub fn parse(bytes: &[u8], file: String, device: &Device) -> Result<Self> {
        Self::of(&TensorFile::parse(bytes, file, FORMAT)?, device)
    }

    fn of(file: &TensorFile, device: &Device) -> Result<Self> {
        let facts: ClassifierFacts = file.object()?;
        let mut parameters = Vec::with_capacity(facts.shape.len());
        for (name, shape) in facts.shape.parameters() {
            parameters.extend(match shape.as_slice() {
                [a, b, c, d] => file.shaped(&name, [*a, *b, *c, *d])?,
                [a, b] => file.shaped(&name, [*a, *b])?,
                _ => file.shaped(&name, [shape.iter().product()])?,
            });
        }
        let dim = ClassifierShape::FEATURES;
        let mean = file.shaped("reference.mean", [dim])?;
        let covariance = file.shaped("reference.covariance", [dim, dim])?;
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let covariance = Array2::from_shape_vec((dim, dim), wide(covariance)).map_err(Error::shape)?;
        let reference = Gaussian::new(Array1::from(wide(mean)), covariance)?;
        Ok(Self { classifier: classifier(facts.shape, parameters, device)?, reference, facts })
    }

    /// Writes it as safetensors: one array a parameter, `reference.mean`, `reference.covariance`, and the facts as JSON in the
    /// metadata.
    ///
    /// # Errors
    /// When the file cannot be written; names it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let parameters = self.classifier.parameters()?;
        let mut file = TensorFile::new(FORMAT, &self.facts)?;
        let mut start = 0;
        for (name, shape) in self.facts.shape.parameters() {
            let length: usize = shape.iter().product();
            file.insert(&name, &shape, parameters[start..start + length].to_vec())?;
            start += length;
        }
        let narrow = |values: &mut dyn Iterator<Item = &f64>| values.map(|value| *value as f32).collect();
        let dim = self.reference.mean().len();
        file.insert("reference.mean", &[dim], narrow(&mut self.reference.mean().iter()))?;
        file.insert("reference.covariance", &[dim, dim], narrow(&mut self.reference.covariance().iter()))?;
        file.write(path)
    }

    /// What it makes of images in `-1 ..= 1` (clamped here), each of a class or of none.
    ///
    /// # Shapes
    /// - `images`: `[images, channels, size, size]`, at least two
    ///
    /// # Errors
    /// When the images are of another shape than those that it was trained on, or fewer than two.
    pub fn score(&self, images: &Array4<f32>, classes: &[Option<usize>]) -> Result<ClassifierScores> {
        let Classified { features, classes: found } =
            self.classifier.classify(images.mapv(|value| value.clamp(-1.0, 1.0)).view())?;
        let frechet = Gaussian::of(features.view())?.frechet(&self.reference)?;
        let right = found.iter().zip(classes).filter(|(found, wanted)| **wanted == Some(**found)).count();
        let all = classes.iter().all(Option::is_some) && !classes.is_empty();
        let accuracy = all.then(|| right as f64 / classes.len() as f64);
        Ok(ClassifierScores { frechet, accuracy })
    }

    /// The distance that about as many real images have: of the largest number measured that is at most `images`.
    pub fn real(&self, images: usize) -> Option<RealImages> {
        let fewer = self.facts.real.iter().filter(|real| real.images <= images);
        fewer.max_by_key(|real| real.images).copied()
    }
}

/// A classifier of parameters on the host.
///
/// # Errors
/// For another number of parameters than the shape has.
pub fn classifier(shape: ClassifierShape, parameters: Vec<f32>, device: &Device) -> Result<Classifier> {
    let data = TensorData::new(parameters, [shape.len()]);
    Ok(Classifier::new(shape, Tensor::from_data(data, (device, DType::F32)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ClassifierShape = ClassifierShape { channels: 1, size: 8, classes: 3 };

    fn network(parameters: Vec<f32>) -> ReferenceClassifier {
        let device = Device::flex();
        let dim = ClassifierShape::FEATURES;
        let facts = ClassifierFacts {
            shape: SHAPE,
            data: "none".into(),
            training_images: 0,
            test_images: 0,
            accuracy: 0.0,
            mirrored: false,
            real: [20, 50, 100].map(|images| RealImages { images, frechet: 1.0 }).to_vec(),
            recipe: "none".into(),
        };
        let reference = Gaussian::new(Array1::zeros(dim), Array2::eye(dim)).unwrap();
        ReferenceClassifier { classifier: classifier(SHAPE, parameters, &device).unwrap(), reference, facts }
    }

    #[test]
    fn a_classifier_comes_back_and_says_the_same() {
        let parameters = SHAPE.initial(5);
        let network = network(parameters);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classifier.safetensors");
        network.write(&path).unwrap();
        let back = ReferenceClassifier::read(&path, &Device::flex()).unwrap();
        assert_eq!(back.facts, network.facts);
        let images =
            Array4::from_shape_fn((4, 1, 8, 8), |(n, _, y, x)| ((n * 5 + y * 3 + x) % 7) as f32 / 3.0 - 1.0);
        let of = |network: &ReferenceClassifier, classes: &[Option<usize>]| {
            network.score(&images, classes).unwrap()
        };
        let classes = network.classifier.classify(images.view()).unwrap().classes;
        let mut wanted: Vec<Option<usize>> = classes.into_iter().map(Some).collect();
        wanted[1] = wanted[1].map(|class| (class + 1) % 3);
        assert_eq!(of(&back, &wanted), of(&network, &wanted));
        assert_eq!(of(&back, &wanted).accuracy, Some(0.75));
        wanted[0] = None;
        assert_eq!(of(&back, &wanted).accuracy, None, "an image without a class has no accuracy");
    }

    #[test]
    fn real_images_are_those_of_no_larger_number() {
        let network = network(SHAPE.initial(0));
        let found = |images| network.real(images).map(|real| real.images);
        assert_eq!([found(19), found(20), found(70), found(500)], [None, Some(20), Some(50), Some(100)]);
    }
}
