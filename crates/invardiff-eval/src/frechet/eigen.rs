//! Eigenvalues of a small symmetric matrix.
//!
//! By hand, because the linear algebra libraries that were tried (nalgebra, faer) switch on features of crates below the
//! tensor library, which would then be compiled a second time.

use ndarray::{Array1, Array2};

/// Turns that are enough for any matrix: convergence is quadratic, and six to ten sweeps are usual.
const SWEEPS: usize = 64;

/// Eigenvalues, unsorted, and the eigenvectors as columns, of a symmetric matrix: the cyclic method of Jacobi (Golub and Van
/// Loan, Matrix Computations, 8.5), until what is off the diagonal is below rounding of the whole.
pub(super) fn eigen(matrix: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let (mut a, dim) = (matrix.clone(), matrix.nrows());
    let mut vectors = Array2::eye(dim);
    let whole: f64 = a.iter().map(|value| value * value).sum();
    let rounding = (dim as f64 * f64::EPSILON).powi(2) * whole;
    for _ in 0..SWEEPS {
        let off: f64 = a.indexed_iter().filter(|((i, j), _)| i != j).map(|(_, value)| value * value).sum();
        if off <= rounding {
            break;
        }
        for p in 0..dim {
            for q in p + 1..dim {
                turn(&mut a, &mut vectors, p, q);
            }
        }
    }
    (a.diag().to_owned(), vectors)
}

/// One rotation in the plane of two axes, after which `a[p, q]` is 0.
fn turn(a: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    if a[[p, q]] == 0.0 {
        return;
    }
    let slope = (a[[q, q]] - a[[p, p]]) / (2.0 * a[[p, q]]);
    let tangent = slope.signum() / (slope.abs() + slope.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let mix = |x: &mut Array2<f64>, first: [usize; 2], second: [usize; 2]| {
        let (one, two) = (x[first], x[second]);
        (x[first], x[second]) = (cosine * one - sine * two, sine * one + cosine * two);
    };
    for k in 0..a.nrows() {
        mix(a, [k, p], [k, q]);
        mix(vectors, [k, p], [k, q]);
    }
    for k in 0..a.nrows() {
        mix(a, [p, k], [q, k]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    /// Of `A A^T` with the entries of a fixed sequence.
    fn symmetric(dim: usize) -> Array2<f64> {
        let a = Array2::from_shape_fn((dim, dim), |(i, j)| ((i * 7 + j * 13) % 11) as f64 - 5.0);
        a.dot(&a.t())
    }

    #[test]
    fn the_parts_make_the_matrix_again_and_the_vectors_are_orthonormal() {
        for dim in [1, 2, 5, 32] {
            let matrix = symmetric(dim);
            let (values, vectors) = eigen(&matrix);
            let again = (&vectors * &values).dot(&vectors.t());
            let scale = matrix.iter().fold(1.0_f64, |most, value| most.max(value.abs()));
            assert!((&again - &matrix).iter().all(|value| value.abs() < 1e-12 * scale), "{dim}");
            let unit = vectors.t().dot(&vectors) - Array2::<f64>::eye(dim);
            assert!(unit.iter().all(|value| value.abs() < 1e-12), "{dim}");
        }
    }

    #[test]
    fn known_eigenvalues_are_found() {
        let (mut values, _) = eigen(&arr2(&[[2.0, 0.0, 0.0], [0.0, 3.0, 4.0], [0.0, 4.0, 9.0]]));
        values.as_slice_mut().unwrap().sort_by(f64::total_cmp);
        for (found, expected) in values.iter().zip([1.0, 2.0, 11.0]) {
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
        assert_eq!(eigen(&Array2::zeros((3, 3))).0, Array1::<f64>::zeros(3));
    }
}
