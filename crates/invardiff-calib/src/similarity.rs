//! The similarity of features at consecutive steps.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

/// The similarity of features at consecutive steps, as in figure 2 of the paper (arXiv 2512.05134). No plan depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// The stream, numbered as in a [`DistanceTable`](invardiff_plan::two_phase::DistanceTable).
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn of(a: [f32; 2], b: [f32; 2]) -> Vec<f32> {
        let tensor = |values: [f32; 2]| Tensor::<1>::from_floats(values, &Device::flex()).reshape([1, 2, 1]);
        likeness(tensor(a), tensor(b)).into_data().iter().collect()
    }

    #[test]
    fn angles_keep_their_digits_however_small() {
        assert_eq!(of([3.0, 0.0], [0.0, 4.0]), [12.5, 1.0]);
        assert_eq!(of([1.0, 0.0], [-2.0, 0.0])[1], 2.0);
        // 1 - cos(1e-4) is 5e-9: 1 minus a cosine in f32 would be 0.
        let found = of([5.0, 0.0], [2.0, 2e-4])[1];
        assert!((found / 5e-9 - 1.0).abs() < 1e-4, "{found}");
    }

    #[test]
    fn a_feature_that_is_zero_is_like_itself() {
        assert_eq!(of([0.0, 0.0], [0.0, 0.0]), [0.0, 0.0]);
        assert!(of([0.0, 0.0], [1.0, 0.0])[1].is_finite());
    }

    #[test]
    fn the_mean_is_taken_over_runs() {
        let run = |scale: f32| {
            let at = |step: usize| Similarity {
                stream: 0,
                step,
                mean_square: scale * step as f32,
                cosine_distance: scale,
            };
            vec![at(1), at(2)]
        };
        assert_eq!(Similarity::mean(&[run(1.0), run(3.0)]), run(2.0));
        assert_eq!(Similarity::mean(&[Vec::new(), Vec::new()]), []);
    }
}
