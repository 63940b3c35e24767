//! Peak signal-to-noise ratio.

use ndarray::{ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;

use crate::error::{EvalError, same_shape};
use crate::pixel::Pixel;

/// What [`psnr`] returns for images that are equal (mean squared error below 1e-10), in dB. The authors' scripts
/// return the same, so that means over images stay finite.
pub const PSNR_OF_EQUAL: f64 = 100.0;

/// Mean squared error below which two images count as equal.
const EQUAL: f64 = 1e-10;

/// Peak signal-to-noise ratio in dB of two images with data range 1: `20 log10(1 / sqrt(mse))`, the mean over all
/// elements. Equal images have [`PSNR_OF_EQUAL`].
///
/// # Shapes
/// - `a`, `b`: `[channels, height, width]`
///
/// # Errors
/// [`EvalError::ShapesDiffer`] when the shapes differ, [`EvalError::Shape`] when there is no element.
pub fn psnr<P: Pixel>(a: ArrayView3<'_, P>, b: ArrayView3<'_, P>) -> Result<f64, EvalError> {
    same_shape("the images of a PSNR", a.shape(), b.shape())?;
    if a.is_empty() {
        let (expected, found) = ("at least one element".to_owned(), a.shape().to_vec());
        return Err(EvalError::Shape { what: "an image of a PSNR".into(), expected, found });
    }
    let square = |(a, b): (&P, &P)| (a.unit() - b.unit()).powi(2);
    let mse = a.iter().zip(&b).map(square).sum::<f64>() / a.len() as f64;
    Ok(if mse < EQUAL { PSNR_OF_EQUAL } else { -10.0 * mse.log10() })
}

/// [`psnr`] of every pair of images of two batches, in parallel.
///
/// # Shapes
/// - `a`, `b`: `[batch, channels, height, width]`
/// - result: `batch` values
///
/// # Errors
/// As [`psnr`].
pub fn psnr_each<P: Pixel>(a: ArrayView4<'_, P>, b: ArrayView4<'_, P>) -> Result<Vec<f64>, EvalError> {
    same_shape("the batches of a PSNR", a.shape(), b.shape())?;
    (0..a.len_of(Axis(0)))
        .into_par_iter()
        .map(|image| psnr(a.index_axis(Axis(0), image), b.index_axis(Axis(0), image)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Array4};

    #[test]
    fn a_difference_of_a_tenth_has_twenty_decibels() {
        let (a, b) = (Array3::from_elem((1, 4, 4), 0.25_f32), Array3::from_elem((1, 4, 4), 0.35_f32));
        assert!((psnr(a.view(), b.view()).unwrap() - 20.0).abs() < 1e-5);
        assert_eq!(psnr(a.view(), a.view()).unwrap(), PSNR_OF_EQUAL);
    }

    #[test]
    fn a_batch_is_its_images() {
        let a = Array4::from_shape_fn((3, 2, 4, 5), |(n, c, y, x)| (n * 7 + c * 5 + y * 3 + x) as u8);
        let b = a.mapv(|value| value + 9);
        let each = psnr_each(a.view(), b.view()).unwrap();
        assert_eq!(each.len(), 3);
        assert!(each.iter().all(|value| (value - 20.0 * (255.0_f64 / 9.0).log10()).abs() < 1e-9), "{each:?}");
    }

    #[test]
    fn unequal_or_empty_shapes_are_refused() {
        let (a, b) = (Array3::<u8>::zeros((3, 4, 4)), Array3::<u8>::zeros((3, 4, 5)));
        let message = psnr(a.view(), b.view()).unwrap_err().to_string();
        assert!(message.contains("[3, 4, 4]") && message.contains("[3, 4, 5]"), "{message}");
        let empty = Array3::<u8>::zeros((3, 0, 4));
        assert!(matches!(psnr(empty.view(), empty.view()), Err(EvalError::Shape { .. })));
    }
}
