//! Compares arrays within tolerances.

use burn::tensor::Tensor;
use ndarray::{Array1, ArrayD, ArrayViewD, Axis, IxDyn};

use super::arrays::Arrays;
use super::check::{Checks, Deviation, Measure};
use crate::error::{Result, ensure};

/// Absolute tolerance of one forward in f32 (README of the fixtures); see [`forward`].
const FORWARD: f64 = 1e-5;
/// The same for values too large for that in f32, relative to the largest one.
const FORWARD_OF_LARGEST: f64 = 3e-6;
/// Tolerance of a whole trajectory in f32 (README of the fixtures), relative to the largest value.
const TRAJECTORY: f64 = 1e-4;

/// Compares values of one forward: 1e-5 absolute, or for values above 3 relative to the largest one.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn forward(found: &ArrayD<f64>, expected: &ArrayD<f64>) -> Result<Deviation> {
    within(found, expected, forward_tolerance(largest(expected)))
}

/// The tolerance of [`forward`], for values up to `largest`.
pub(crate) fn forward_tolerance(largest: f64) -> f64 {
    FORWARD.max(FORWARD_OF_LARGEST * largest)
}

/// Compares values with an absolute tolerance.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn within(found: &ArrayD<f64>, expected: &ArrayD<f64>, tolerance: f64) -> Result<Deviation> {
    let error = worst(found.view(), expected.view(), |difference, _| difference)?;
    Ok(Deviation::new(Measure::Absolute, error, tolerance))
}

/// Compares samples along a trajectory, `[steps, ...]`: 1e-4 of the largest value of each step.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn trajectory(found: &ArrayD<f64>, expected: &ArrayD<f64>) -> Result<Deviation> {
    same_shape(found.shape(), expected.shape())?;
    let mut error = 0.0_f64;
    for (found, expected) in found.outer_iter().zip(expected.outer_iter()) {
        error = error.max(of_largest(&found.to_owned(), &expected.to_owned(), TRAJECTORY)?.error);
    }
    Ok(Deviation::new(Measure::OfLargest, error, TRAJECTORY))
}

/// Compares values with a tolerance relative to the largest expected one.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn of_largest(found: &ArrayD<f64>, expected: &ArrayD<f64>, tolerance: f64) -> Result<Deviation> {
    let largest = largest(expected);
    let error = worst(found.view(), expected.view(), |difference, _| difference / largest)?;
    Ok(Deviation::new(Measure::OfLargest, error, tolerance))
}

/// Compares values with a tolerance relative to each expected one.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn relative(found: &ArrayD<f64>, expected: &ArrayD<f64>, tolerance: f64) -> Result<Deviation> {
    let error = worst(found.view(), expected.view(), |difference, expected| difference / expected.abs())?;
    Ok(Deviation::new(Measure::Relative, error, tolerance))
}

/// Compares values by the root mean square of their relative errors. If a single one is more than ten times the tolerance,
/// that one is the error.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn relative_on_average(
    found: &ArrayD<f64>,
    expected: &ArrayD<f64>,
    tolerance: f64,
) -> Result<Deviation> {
    let worst = relative(found, expected, tolerance)?.error;
    let squares = found.iter().zip(expected).map(|(found, expected)| match (found - expected) / expected {
        error if found == expected || error.is_nan() => 0.0,
        error => error * error,
    });
    let average = (squares.sum::<f64>() / expected.len().max(1) as f64).sqrt();
    let error = if worst > 10.0 * tolerance { worst } else { average };
    Ok(Deviation::new(Measure::RelativeOnAverage, error, tolerance)
        .with_note(format!("worst entry {worst:.1e}")))
}

/// Compares entries that must be equal.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn equal<T: PartialEq>(found: &ArrayD<T>, expected: &ArrayD<T>) -> Result<Deviation> {
    same_shape(found.shape(), expected.shape())?;
    Ok(differing(found.iter().zip(expected).filter(|(a, b)| a != b).count()))
}

/// Compares each table that the file has, by its name there.
pub(crate) fn tables(
    checks: &mut Checks,
    arrays: &Arrays,
    tables: impl IntoIterator<Item = (String, Vec<f64>)>,
    compare: impl Fn(&ArrayD<f64>, &ArrayD<f64>) -> Result<Deviation>,
) {
    for (key, found) in tables {
        if arrays.has(&key) {
            checks.run(key.clone(), || compare(&list(found), &arrays.get(&key)?));
        }
    }
}

/// A comparison with this number of entries that differ.
pub(crate) fn differing(entries: usize) -> Deviation {
    Deviation::new(Measure::Entries, entries as f64, 0.0)
}

/// A list as an array of one axis.
pub(crate) fn list(values: Vec<f64>) -> ArrayD<f64> {
    Array1::from(values).into_dyn()
}

/// Stacks arrays of one shape along a new first axis.
///
/// # Errors
/// When there is none, or the shapes differ.
pub(crate) fn stacked(arrays: &[ArrayD<f64>]) -> Result<ArrayD<f64>> {
    let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
    Ok(ndarray::stack(Axis(0), &views)?)
}

/// A tensor's values.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> ArrayD<f64> {
    let shape = tensor.dims();
    let values: Vec<f64> = tensor.into_data().iter::<f64>().collect();
    ArrayD::from_shape_vec(IxDyn(&shape), values).expect("a tensor has as many values as its shape says")
}

/// The largest of the differences, each passed through `scale` with its expected value. Equal values have none, even if
/// infinite or NaN; otherwise a NaN makes the result infinite.
fn worst(
    found: ArrayViewD<'_, f64>,
    expected: ArrayViewD<'_, f64>,
    scale: impl Fn(f64, f64) -> f64,
) -> Result<f64> {
    same_shape(found.shape(), expected.shape())?;
    let each = found.iter().zip(&expected).map(|(found, expected)| {
        if found == expected || (found.is_nan() && expected.is_nan()) {
            return 0.0;
        }
        let error = scale((found - expected).abs(), *expected);
        if error.is_nan() { f64::INFINITY } else { error }
    });
    Ok(each.fold(0.0, f64::max))
}

fn largest(values: &ArrayD<f64>) -> f64 {
    values.iter().map(|value| value.abs()).filter(|value| value.is_finite()).fold(0.0, f64::max)
}

fn same_shape(found: &[usize], expected: &[usize]) -> Result<()> {
    ensure!(found == expected, "the result has shape {found:?}, the stored one {expected:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64]) -> ArrayD<f64> {
        list(values.to_vec())
    }

    #[test]
    fn errors_are_counted_as_named() {
        let (found, expected) = (row(&[1.0, -8.5]), row(&[1.5, -8.0]));
        assert_eq!(within(&found, &expected, 1.0).unwrap().error, 0.5);
        assert_eq!(of_largest(&found, &expected, 1.0).unwrap().error, 0.0625);
        let steps =
            |rows: &[&[f64]]| stacked(&rows.iter().map(|values| row(values)).collect::<Vec<_>>()).unwrap();
        let (early, late) = (steps(&[&[1.0, 2.0], &[90.0, 100.0]]), steps(&[&[1.0, 2.5], &[90.0, 100.0]]));
        assert_eq!(trajectory(&early, &late).unwrap().error, 0.2, "of the largest value of its own step");
        assert_eq!(relative(&found, &expected, 1.0).unwrap().error, 0.5 / 1.5);
        assert_eq!(equal(&found, &expected).unwrap().error, 2.0);
        let average = (f64::hypot(0.5 / 1.5, 0.5 / 8.0).powi(2) / 2.0).sqrt();
        assert!((relative_on_average(&found, &expected, 0.1).unwrap().error - average).abs() < 1e-12);
        // One entry with an error of more than ten times the tolerance is not averaged away.
        assert_eq!(relative_on_average(&found, &expected, 0.03).unwrap().error, 0.5 / 1.5);
    }

    #[test]
    fn what_is_no_number_never_passes_unless_it_is_expected() {
        let (nan, one) = (row(&[f64::NAN, 0.0]), row(&[1.0, 0.0]));
        let one_step = |row: &ArrayD<f64>| stacked(std::slice::from_ref(row)).unwrap();
        assert_eq!(trajectory(&one_step(&nan), &one_step(&one)).unwrap().error, f64::INFINITY);
        assert_eq!(forward(&one, &nan).unwrap().error, f64::INFINITY);
        assert_eq!(relative(&nan, &nan, 0.0).unwrap().error, 0.0);
        assert_eq!(relative_on_average(&nan, &one, 1.0).unwrap().error, f64::INFINITY);
        // Where 0 is expected, any other value has an infinite relative error.
        assert_eq!(relative(&row(&[1e-9]), &row(&[0.0]), 1.0).unwrap().error, f64::INFINITY);
    }

    #[test]
    fn a_forward_may_be_less_exact_only_where_values_are_large() {
        assert_eq!(forward(&row(&[1.0]), &row(&[1.0])).unwrap().tolerance, 1e-5);
        assert_eq!(forward(&row(&[1.0]), &row(&[128.0])).unwrap().tolerance, 128.0 * FORWARD_OF_LARGEST);
    }

    #[test]
    fn other_shapes_are_refused() {
        let message = equal(&row(&[1.0]), &row(&[1.0, 2.0])).unwrap_err().to_string();
        assert!(message.contains("[1], the stored one [2]"), "{message}");
    }
}
