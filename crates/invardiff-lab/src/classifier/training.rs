//! The training of a classifier.

use std::f64::consts::PI;
use std::fmt;
use std::time::Instant;

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_calib::{AdamW, Moments};
use invardiff_eval::{Classifier, ClassifierShape};
use invardiff_plan::core::SplitMix64;

use super::idx::{Labelled, scale};
use crate::error::{Result, ensure};

/// How a classifier is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Number of epochs.
    pub epochs: usize,
    /// Batch size.
    pub batch: usize,
    /// Initial learning rate, with cosine decay to 0.
    pub learning_rate: f64,
    /// Whether every second image is mirrored.
    pub mirror: bool,
    /// Seed of the initial weights and of the order of images.
    pub seed: u64,
}

/// Weight decay of AdamW.
const WEIGHT_DECAY: f64 = 0.02;

impl Recipe {
    /// The number of updates of the whole training on this many images. The last, smaller batch of an epoch is left out, unless it is the only one.
    pub(super) fn updates(&self, images: usize) -> usize {
        self.epochs * (images / self.batch).max(1)
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mirrored = if self.mirror { ", images mirrored at random" } else { "" };
        write!(
            f,
            "{} epochs in batches of {}, AdamW at {} falling as a cosine, weight decay {WEIGHT_DECAY}{mirrored}, seed {}",
            self.epochs, self.batch, self.learning_rate, self.seed
        )
    }
}

/// The result of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Mean cross entropy of its updates.
    pub loss: f64,
    /// Its duration in seconds.
    pub seconds: f64,
}

/// Trains from random weights; the same seed gives the same parameters. `progress` is called after every update.
///
/// # Errors
/// When the loss is NaN.
pub(super) fn train(
    shape: ClassifierShape,
    data: &Labelled,
    recipe: &Recipe,
    device: &Device,
    progress: &dyn Fn(),
) -> Result<(Vec<f32>, Vec<Epoch>)> {
    let mut parameters = shape.initial(recipe.seed);
    let mut moments = Moments::zeros(parameters.len());
    let (total, mut done, mut epochs) = (recipe.updates(data.len()), 0, Vec::new());
    for epoch in 0..recipe.epochs {
        let (clock, mut sum) = (Instant::now(), 0.0);
        let mut draws = SplitMix64::of_part(recipe.seed, epoch as u64);
        let order = shuffled(data.len(), &mut draws);
        let batch = recipe.batch.min(data.len());
        let batches = order.chunks_exact(batch);
        let count = batches.len();
        for places in batches {
            let (loss, gradient) =
                gradient(shape, &parameters, data, places, recipe.mirror, &mut draws, device)?;
            ensure!(
                loss.is_finite(),
                "the training diverged in update {done}: its loss is NaN; lower the learning rate"
            );
            let falling = 0.5 * (1.0 + (PI * done as f64 / total as f64).cos());
            let learning_rate = recipe.learning_rate * falling;
            let optimiser = AdamW { weight_decay: WEIGHT_DECAY, ..AdamW::new(learning_rate) };
            optimiser.update(&mut moments, &mut parameters, &gradient);
            sum += f64::from(loss);
            done += 1;
            progress();
        }
        epochs.push(Epoch { loss: sum / count as f64, seconds: clock.elapsed().as_secs_f64() });
    }
    Ok((parameters, epochs))
}

/// The mean cross entropy of a batch and its gradient with respect to the parameters.
fn gradient(
    shape: ClassifierShape,
    parameters: &[f32],
    data: &Labelled,
    places: &[usize],
    mirror: bool,
    draws: &mut SplitMix64,
    device: &Device,
) -> Result<(f32, Vec<f32>)> {
    let size = shape.size;
    let mut pixels = Vec::with_capacity(places.len() * size * size);
    let mut wanted = vec![0.0_f32; places.len() * shape.classes];
    for (row, place) in places.iter().enumerate() {
        let mirrored = mirror && draws.below(2) == 1;
        for line in data.images.index_axis(ndarray::Axis(0), *place).rows() {
            let column = |x: usize| if mirrored { size - 1 - x } else { x };
            pixels.extend((0..size).map(|x| scale(line[column(x)])));
        }
        wanted[row * shape.classes + data.labels[*place]] = -1.0 / places.len() as f32;
    }
    let tensor = |values: Vec<f32>, shape: Vec<usize>| TensorData::new(values, shape);
    let x = Tensor::<4>::from_data(tensor(pixels, vec![places.len(), 1, size, size]), (device, DType::F32));
    let wanted =
        Tensor::<2>::from_data(tensor(wanted, vec![places.len(), shape.classes]), (device, DType::F32));
    let leaf = tensor(parameters.to_vec(), vec![parameters.len()]);
    let leaf = Tensor::<1>::from_data(leaf, (device, DType::F32)).autodiff().require_grad();
    let logits = Classifier::new(shape, leaf.clone())?.forward(x.autodiff()).logits;
    let loss = (log_softmax(logits, 1) * wanted.autodiff()).sum();
    let gradients = loss.backward();
    let gradient = leaf.grad(&gradients).map(|gradient| gradient.into_data().iter::<f32>().collect());
    Ok((loss.into_scalar::<f32>(), gradient.unwrap_or_else(|| vec![0.0; parameters.len()])))
}

/// A random permutation of all indices (Fisher and Yates).
fn shuffled(length: usize, draws: &mut SplitMix64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    for last in (1..length).rev() {
        order.swap(last, draws.below(last + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    /// Noise with a bright stripe whose row says the class.
    fn stripes(count: usize, seed: u64) -> Labelled {
        let mut draws = SplitMix64::seeded(seed);
        let labels: Vec<usize> = (0..count).map(|image| image % 3).collect();
        let images = Array3::from_shape_fn((count, 8, 8), |(image, row, _)| {
            let stripe = row / 3 == labels[image];
            draws.below(if stripe { 120 } else { 90 }) as u8 + if stripe { 90 } else { 0 }
        });
        Labelled { images, labels }
    }

    const RECIPE: Recipe = Recipe { epochs: 4, batch: 16, learning_rate: 4e-3, mirror: true, seed: 1 };

    #[test]
    fn stripes_are_learnt_and_told_apart_on_others() {
        let (device, data, test) = (Device::flex(), stripes(240, 1), stripes(90, 2));
        let shape = data.shape().unwrap();
        let updates = std::cell::Cell::new(0);
        let (parameters, epochs) =
            train(shape, &data, &RECIPE, &device, &|| updates.set(updates.get() + 1)).unwrap();
        assert_eq!((updates.get(), epochs.len()), (RECIPE.updates(240), 4));
        assert!(epochs[3].loss < 0.2 * epochs[0].loss, "{epochs:?}");
        let seen = invardiff::reference_classifier::classifier(shape, parameters, &device).unwrap();
        let seen = seen.classify(test.scaled(0..90).view()).unwrap();
        let right = seen.classes.iter().zip(&test.labels).filter(|(found, label)| found == label).count();
        assert!(right >= 85, "{right} of 90");
    }

    /// Central differences of the loss in f32, for a parameter of every layer; without mirroring, so that draws do not matter.
    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (device, data) = (Device::flex(), stripes(6, 3));
        let shape = data.shape().unwrap();
        let parameters = shape.initial(7);
        let of = |parameters: &[f32]| {
            let places: Vec<usize> = (0..6).collect();
            gradient(shape, parameters, &data, &places, false, &mut SplitMix64::seeded(0), &device).unwrap()
        };
        let (loss, found) = of(&parameters);
        assert!(loss > 0.1, "{loss}");
        let mut start = 0;
        for (name, dims) in shape.parameters() {
            let length: usize = dims.iter().product();
            let strongest =
                (start..start + length).max_by(|a, b| found[*a].abs().total_cmp(&found[*b].abs())).unwrap();
            let moved = |by: f32| {
                let mut moved = parameters.clone();
                moved[strongest] += by;
                f64::from(of(&moved).0)
            };
            let expected = (moved(2e-3) - moved(-2e-3)) / 4e-3;
            let error = (f64::from(found[strongest]) - expected).abs();
            assert!(error < 0.05 * expected.abs() + 1e-3, "{name}: {} {expected}", found[strongest]);
            start += length;
        }
    }

    #[test]
    fn an_order_has_every_place_once() {
        let mut order = shuffled(100, &mut SplitMix64::seeded(4));
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
