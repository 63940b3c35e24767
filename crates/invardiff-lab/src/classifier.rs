//! Trains the small classifier by which comparisons judge images: class accuracy and Fréchet distance.

mod idx;
mod measure;
mod training;

use std::path::PathBuf;

use burn::tensor::Device;
use invardiff::ReferenceClassifier;
use invardiff::reference_classifier::classifier;
use invardiff_runtime::{Phase, Progress};

use crate::error::{Context, Error, Result, unfit};
use idx::Labelled;
use measure::Measured;
use training::train;

pub use training::{Epoch, Recipe};

/// What a classifier is trained or measured on.
#[derive(Clone, Debug)]
pub struct ClassifierData {
    /// The folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    /// `t10k-labels-idx1-ubyte`, as they are or with `.gz`.
    pub folder: PathBuf,
    /// The data's name and licence, for the classifier's file and for reports.
    pub name: String,
}

/// Trains a classifier on the training images of a folder and measures it on the test images: the accuracy, the mean and
/// covariance of the features, and the Fréchet distances of real images. With `known`, that classifier is measured instead, and
/// no epoch is returned.
///
/// # Errors
/// When the data cannot be read or are inconsistent, the learning rate is not above 0, or the training diverges.
pub fn train_classifier(
    data: &ClassifierData,
    recipe: &Recipe,
    known: Option<ReferenceClassifier>,
    device: &Device,
    progress: &dyn Progress,
) -> Result<(ReferenceClassifier, Vec<Epoch>)> {
    if !(recipe.learning_rate.is_finite() && recipe.learning_rate > 0.0) {
        let problem = format!("is {}, expected a number above 0", recipe.learning_rate);
        return Err(Error::setting("learning_rate", problem));
    }
    let read = |name| Labelled::read(&data.folder, name).context("data");
    let (training, test) = (read("train")?, read("t10k")?);
    let shape = training.shape()?;
    if test.images.dim().1 != training.images.dim().1 || test.classes() > shape.classes {
        let problem = "do not fit together: the test images are of another size, or of classes that the training images lack";
        return Err(Error::setting("data", problem));
    }
    let (network, epochs, words) = match known {
        Some(known) if known.facts.shape == shape => (known.classifier, Vec::new(), known.facts.recipe),
        Some(known) => {
            return Err(unfit!("the classifier is of {:?}, the data are of {shape:?}", known.facts.shape));
        }
        None => {
            let phase = Phase::begin(progress, "training (updates)", recipe.updates(training.len()));
            let (parameters, epochs) = train(shape, &training, recipe, device, &|| phase.advance(1))?;
            (classifier(shape, parameters, device)?, epochs, recipe.to_string())
        }
    };
    let measured = Measured { name: &data.name, training: &training, test: &test };
    let mut trained = measured.reference(network, recipe.mirror, recipe.seed)?;
    trained.facts.recipe = words;
    Ok((trained, epochs))
}
