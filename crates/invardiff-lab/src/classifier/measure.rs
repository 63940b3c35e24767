//! Measures a trained classifier on images that it was not trained on.

use invardiff::{ClassifierFacts, RealImages, ReferenceClassifier};
use invardiff_eval::{Classifier, Gaussian};
use invardiff_plan::core::SplitMix64;
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use super::idx::Labelled;
use crate::error::Result;

/// Numbers of real images for which the Fréchet distance is measured.
const COUNTS: [usize; 6] = [20, 50, 100, 200, 500, 1000];
/// Random draws per number.
const DRAWS: u64 = 20;

/// The images to measure on.
pub(super) struct Measured<'a> {
    /// The data's name and licence.
    pub(super) name: &'a str,
    /// The images that it was trained on.
    pub(super) training: &'a Labelled,
    /// Others.
    pub(super) test: &'a Labelled,
}

impl Measured<'_> {
    /// Measures a trained network on the test images; `mirror` tells whether mirrored images are as real as the others.
    ///
    /// # Errors
    /// When the network does not take the images.
    pub(super) fn reference(
        &self,
        classifier: Classifier,
        mirror: bool,
        seed: u64,
    ) -> Result<ReferenceClassifier> {
        let (training, test, shape) = (self.training, self.test, classifier.shape());
        let seen = classifier.classify(test.scaled(0..test.len()).view())?;
        let right = seen.classes.iter().zip(&test.labels).filter(|(found, label)| found == label).count();
        let both = |data: &Labelled, count: usize| features(&classifier, data, count, mirror);
        let reference = Gaussian::of(both(test, test.len())?.view())?;
        // Enough training images for the largest draws; their features are needed once each.
        let some = training.len().min(20 * COUNTS[COUNTS.len() - 1]);
        let known = both(training, some)?;
        let real = real_images(known.view(), &training.labels[..some], shape.classes, seed, &reference)?;
        let facts = ClassifierFacts {
            shape,
            data: self.name.to_owned(),
            training_images: training.len(),
            test_images: test.len(),
            accuracy: right as f64 / test.len() as f64,
            mirrored: mirror,
            real,
            recipe: String::new(),
        };
        Ok(ReferenceClassifier { classifier, reference, facts })
    }
}

/// Features of the first `count` images, and where images are mirrored, of their mirror images after them.
fn features(classifier: &Classifier, data: &Labelled, count: usize, mirror: bool) -> Result<Array2<f32>> {
    let mut images = data.scaled(0..count);
    let plain = classifier.classify(images.view())?.features;
    if !mirror {
        return Ok(plain);
    }
    images.invert_axis(Axis(3));
    Ok(concatenate(Axis(0), &[plain.view(), classifier.classify(images.view())?.features.view()])?)
}

/// The mean Fréchet distance of draws of training images, all classes in turn. Where there are more features than labels,
/// the rest are those of the mirror images, and a drawn image is mirrored or not by chance.
fn real_images(
    features: ArrayView2<'_, f32>,
    labels: &[usize],
    classes: usize,
    seed: u64,
    reference: &Gaussian,
) -> Result<Vec<RealImages>> {
    let of =
        |class| labels.iter().enumerate().filter(move |(_, label)| **label == class).map(|(place, _)| place);
    let by_class: Vec<Vec<usize>> =
        (0..classes).map(|class| of(class).collect()).filter(|places: &Vec<_>| !places.is_empty()).collect();
    let mut found = Vec::new();
    for images in COUNTS.into_iter().filter(|count| 2 * count <= labels.len()) {
        let mut sum = 0.0;
        for draw in 0..DRAWS {
            let mut draws = SplitMix64::of_part(seed, draw);
            let rows: Vec<usize> = (0..images)
                .map(|image| {
                    let places = &by_class[image % by_class.len()];
                    let copies = features.nrows() / labels.len();
                    places[draws.below(places.len())] + labels.len() * draws.below(copies)
                })
                .collect();
            let drawn: Array2<f32> = features.select(Axis(0), &rows);
            sum += Gaussian::of(drawn.view())?.frechet(reference)?;
        }
        found.push(RealImages { images, frechet: sum / DRAWS as f64 });
    }
    Ok(found)
}
