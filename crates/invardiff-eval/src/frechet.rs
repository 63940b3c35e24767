//! Fréchet distance between normal distributions fitted to feature vectors.

mod eigen;

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::error::EvalError;
use eigen::eigen;

/// The mean and the covariance of feature vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Gaussian {
    /// Fits a distribution; the covariance is the unbiased one.
    ///
    /// # Shapes
    /// - `features`: `[vectors, dim]`, at least two vectors
    ///
    /// # Errors
    /// [`EvalError::Shape`] for fewer than two vectors, [`EvalError::NotFinite`] where a value is NaN or infinite.
    pub fn of(features: ArrayView2<'_, f32>) -> Result<Self, EvalError> {
        let (count, what) = (features.nrows(), "the feature vectors of a Fréchet distance");
        let Some(mean) = features.mapv(f64::from).mean_axis(Axis(0)).filter(|_| count >= 2) else {
            let expected = "[vectors, dim] with two vectors or more".into();
            return Err(EvalError::Shape { what: what.into(), expected, found: features.shape().to_vec() });
        };
        let centred = features.mapv(f64::from) - &mean;
        let covariance = centred.t().dot(&centred) / (count - 1) as f64;
        Self::new(mean, covariance)
    }

    /// The distribution of this mean and covariance.
    ///
    /// # Shapes
    /// - `mean`: `[dim]`
    /// - `covariance`: `[dim, dim]`, symmetric; of a value and its mirror the mean is taken
    ///
    /// # Errors
    /// [`EvalError::Shape`] when they do not fit together, [`EvalError::NotFinite`] where a value is NaN or infinite.
    pub fn new(mean: Array1<f64>, covariance: Array2<f64>) -> Result<Self, EvalError> {
        let (what, dim) = ("the covariance of a Fréchet distance", mean.len());
        if covariance.dim() != (dim, dim) {
            let (expected, found) = (format!("[{dim}, {dim}]"), covariance.shape().to_vec());
            return Err(EvalError::Shape { what: what.into(), expected, found });
        }
        if !mean.iter().chain(&covariance).all(|value| value.is_finite()) {
            return Err(EvalError::NotFinite { what: "the features of a Fréchet distance" });
        }
        let covariance = (&covariance + &covariance.t()) * 0.5;
        Ok(Self { mean, covariance })
    }

    /// `[dim]`.
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// `[dim, dim]`.
    pub fn covariance(&self) -> &Array2<f64> {
        &self.covariance
    }

    /// The (squared) Fréchet distance as Heusel et al. 2017 use it:
    ///
    /// ```text
    /// |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1^(1/2) S2 S1^(1/2))^(1/2))
    /// ```
    ///
    /// The roots are taken of symmetric matrices, by their eigenvalues; those that rounding made negative count as 0.
    ///
    /// **With few vectors it is too large**: the covariance of `n` vectors has at most the rank `n - 1`, and the mean misses by
    /// the n-th part of the variance. Compare only distances of equally many vectors.
    ///
    /// # Errors
    /// [`EvalError::ShapesDiffer`] for features of other dimensions.
    pub fn frechet(&self, other: &Self) -> Result<f64, EvalError> {
        crate::error::same_shape(
            "the features of a Fréchet distance",
            self.mean.shape(),
            other.mean.shape(),
        )?;
        let apart = (&self.mean - &other.mean).mapv(|value| value * value).sum();
        let root = root(&self.covariance);
        let inner = root.dot(&other.covariance).dot(&root);
        let (values, _) = eigen(&((&inner + &inner.t()) * 0.5));
        let common: f64 = values.iter().map(|value| value.max(0.0).sqrt()).sum();
        let distance = apart + self.covariance.diag().sum() + other.covariance.diag().sum() - 2.0 * common;
        Ok(distance.max(0.0))
    }
}

/// The symmetric square root of a symmetric matrix without negative eigenvalues.
fn root(matrix: &Array2<f64>) -> Array2<f64> {
    let (values, vectors) = eigen(matrix);
    let scaled = &vectors * &values.mapv(|value| value.max(0.0).sqrt());
    scaled.dot(&vectors.t())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    fn gaussian(mean: [f64; 2], covariance: [[f64; 2]; 2]) -> Gaussian {
        Gaussian::new(arr1(&mean), arr2(&covariance)).unwrap()
    }

    /// Of two by two matrices `tr(A^(1/2)) = sqrt(tr A + 2 sqrt(det A))`, here with `A = S1 S2` of trace 8 and determinant 9.
    #[test]
    fn it_is_the_closed_form_in_two_dimensions() {
        let a = gaussian([1.0, 0.0], [[2.0, 1.0], [1.0, 2.0]]);
        let b = gaussian([1.0, 2.0], [[3.0, 0.0], [0.0, 1.0]]);
        let expected = 4.0 + 4.0 + 4.0 - 2.0 * 14.0_f64.sqrt();
        assert!((a.frechet(&b).unwrap() - expected).abs() < 1e-12);
        assert!((b.frechet(&a).unwrap() - expected).abs() < 1e-12, "it is symmetric");
        assert!(a.frechet(&a).unwrap() < 1e-12);
    }

    /// A singular covariance: the root of a matrix of rank one, and no NaN.
    #[test]
    fn a_covariance_without_full_rank_is_no_trouble() {
        let flat = gaussian([0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]]);
        let point = gaussian([3.0, 4.0], [[0.0, 0.0], [0.0, 0.0]]);
        assert!((flat.frechet(&point).unwrap() - 27.0).abs() < 1e-12);
        assert!(flat.frechet(&flat).unwrap() < 1e-12);
    }

    #[test]
    fn a_sample_gives_its_mean_and_unbiased_covariance() {
        let found = Gaussian::of(arr2(&[[1.0_f32, 0.0], [3.0, 0.0], [5.0, 6.0]]).view()).unwrap();
        assert_eq!(found.mean(), arr1(&[3.0, 2.0]));
        assert_eq!(found.covariance(), arr2(&[[4.0, 6.0], [6.0, 12.0]]));
    }

    #[test]
    fn what_has_no_distance_is_refused() {
        assert!(Gaussian::of(arr2(&[[1.0_f32, 2.0]]).view()).is_err());
        assert!(Gaussian::of(arr2(&[[1.0_f32], [f32::NAN]]).view()).is_err());
        assert!(Gaussian::new(arr1(&[0.0]), Array2::zeros((2, 1))).is_err());
        let one = Gaussian::new(arr1(&[0.0]), Array2::ones((1, 1))).unwrap();
        assert!(one.frechet(&gaussian([0.0; 2], [[1.0, 0.0], [0.0, 1.0]])).is_err());
    }
}
