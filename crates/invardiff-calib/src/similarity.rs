//! How alike the features of consecutive steps are.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

/// How alike the features of consecutive steps are: what figure 2 of the paper (arXiv 2512.05134) shows. No plan depends
/// on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// The stream, numbered as in a [`DistanceTable`](invardiff_plan::DistanceTable).
    pub stream: usize,
    /// The later step, in sampling order.
    pub step: usize,
    /// Mean over all elements of the squared difference to the step before.
    pub mean_square: f32,
    /// `1 - cos` of the angle to the step before, over all elements; 0 where both features are zero.
    pub cosine_distance: f32,
}

impl Similarity {
    /// The mean over runs, by stream and step.
    pub(crate) fn mean(runs: &[Vec<Self>]) -> Vec<Self> {
        let mut sums: BTreeMap<(usize, usize), (f64, f64)> = BTreeMap::new();
        for similarity in runs.iter().flatten() {
            let sum = sums.entry((similarity.stream, similarity.step)).or_default();
            sum.0 += f64::from(similarity.mean_square);
            sum.1 += f64::from(similarity.cosine_distance);
        }
        let count = runs.len() as f64;
        let average = |((stream, step), (square, cosine)): (_, (f64, f64))| Self {
            stream,
            step,
            mean_square: (square / count) as f32,
            cosine_distance: (cosine / count) as f32,
        };
        sums.into_iter().map(average).collect()
    }
}

/// Mean square of `b - a`, and `1 - cos(a, b)` as half the squared distance of the two unit vectors: never negative, and
/// with all its digits where the angle is small.
///
/// # Shapes
/// - `a`, `b`: `[batch, tokens, dim]`
/// - result: `[2]`
pub(crate) fn likeness(a: Tensor<3>, b: Tensor<3>) -> Tensor<1> {
    let square = (b.clone() - a.clone()).square().mean_dim(2).mean();
    let chord = (unit(b) - unit(a)).square().sum_dim(2).sum() * 0.5;
    Tensor::cat(vec![square, chord], 0)
}

/// `a` divided by its L2 norm over all elements; zero stays zero.
fn unit(a: Tensor<3>) -> Tensor<3> {
    let norm = a.clone().square().sum_dim(2).sum_dim(1).sum_dim(0).sqrt();
    a / norm.clamp_min(f32::MIN_POSITIVE)
}
