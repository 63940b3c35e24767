//! Structural similarity.

use ndarray::{Array2, ArrayView2, ArrayView3, ArrayView4, Axis, Zip};
use rayon::prelude::*;

use crate::error::{EvalError, same_shape};
use crate::pixel::Pixel;

/// Side of the Gaussian window in pixels (Wang et al. 2004).
const WINDOW: usize = 11;
/// Standard deviation of the window in pixels.
const SIGMA: f64 = 1.5;
/// `(K1 L)^2` with `K1 = 0.01` and data range `L = 1`.
const C1: f64 = 0.01 * 0.01;
/// `(K2 L)^2` with `K2 = 0.03` and data range `L = 1`.
const C2: f64 = 0.03 * 0.03;

/// Structural similarity of two images with data range 1 (Wang et al. 2004): an 11x11 Gaussian window of sigma 1.5, only
/// positions where the whole window lies inside, the mean over positions and channels. This is what `pytorch_msssim.ssim`
/// computes, which the authors' scripts use.
///
/// # Shapes
/// - `a`, `b`: `[channels, height, width]`
///
/// # Errors
/// [`EvalError::ShapesDiffer`] when the shapes differ, [`EvalError::TooSmall`] below 11x11 pixels,
/// [`EvalError::Shape`] without a channel.
pub fn ssim<P: Pixel>(a: ArrayView3<'_, P>, b: ArrayView3<'_, P>) -> Result<f64, EvalError> {
    same_shape("the images of an SSIM", a.shape(), b.shape())?;
    let (channels, height, width) = a.dim();
    if channels == 0 {
        let (expected, found) = ("at least one channel".to_owned(), a.shape().to_vec());
        return Err(EvalError::Shape { what: "an image of an SSIM".into(), expected, found });
    }
    if height.min(width) < WINDOW {
        return Err(EvalError::TooSmall { metric: "SSIM", minimum: WINDOW, height, width });
    }
    let window = window();
    let channel = |(a, b): (ArrayView2<'_, P>, ArrayView2<'_, P>)| plane(a, b, &window);
    Ok(a.outer_iter().zip(b.outer_iter()).map(channel).sum::<f64>() / channels as f64)
}

/// [`ssim`] of every pair of images of two batches, in parallel.
///
/// # Shapes
/// - `a`, `b`: `[batch, channels, height, width]`
/// - result: `batch` values
///
/// # Errors
/// As [`ssim`].
pub fn ssim_each<P: Pixel>(a: ArrayView4<'_, P>, b: ArrayView4<'_, P>) -> Result<Vec<f64>, EvalError> {
    same_shape("the batches of an SSIM", a.shape(), b.shape())?;
    (0..a.len_of(Axis(0)))
        .into_par_iter()
        .map(|image| ssim(a.index_axis(Axis(0), image), b.index_axis(Axis(0), image)))
        .collect()
}

/// The mean similarity of one channel.
fn plane<P: Pixel>(a: ArrayView2<'_, P>, b: ArrayView2<'_, P>, window: &[f64; WINDOW]) -> f64 {
    let (a, b) = (a.mapv(Pixel::unit), b.mapv(Pixel::unit));
    let mean_a = blur(&a, window);
    let mean_b = blur(&b, window);
    let square_a = blur(&(&a * &a), window);
    let square_b = blur(&(&b * &b), window);
    let product = blur(&(&a * &b), window);
    let mut sum = 0.0;
    Zip::from(&mean_a).and(&mean_b).and(&square_a).and(&square_b).and(&product).for_each(
        |mean_a, mean_b, square_a, square_b, product| {
            let luminance = (2.0 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1);
            let covariance = product - mean_a * mean_b;
            let variances = square_a - mean_a * mean_a + square_b - mean_b * mean_b;
            sum += luminance * (2.0 * covariance + C2) / (variances + C2);
        },
    );
    sum / mean_a.len() as f64
}

/// The separable Gaussian filter at the positions where the whole window lies inside.
fn blur(plane: &Array2<f64>, window: &[f64; WINDOW]) -> Array2<f64> {
    along(&along(plane, window, Axis(0)), window, Axis(1))
}

fn along(plane: &Array2<f64>, window: &[f64; WINDOW], axis: Axis) -> Array2<f64> {
    let kept = plane.len_of(axis) + 1 - WINDOW;
    let mut shape = plane.raw_dim();
    shape[axis.index()] = kept;
    let mut out = Array2::zeros(shape);
    for (offset, weight) in window.iter().enumerate() {
        let shifted = plane.slice_axis(axis, (offset..offset + kept).into());
        out.scaled_add(*weight, &shifted);
    }
    out
}

/// The Gaussian window, with sum 1.
fn window() -> [f64; WINDOW] {
    let bell = std::array::from_fn(|i| {
        let distance = i as f64 - (WINDOW / 2) as f64;
        (-distance * distance / (2.0 * SIGMA * SIGMA)).exp()
    });
    let sum: f64 = bell.iter().sum();
    bell.map(|value| value / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn equal_images_have_one_and_constant_ones_the_closed_form() {
        let a = Array3::from_shape_fn((3, 12, 17), |(c, y, x)| ((c * 31 + y * 17 + x * 7) % 256) as u8);
        assert!((ssim(a.view(), a.view()).unwrap() - 1.0).abs() < 1e-12);
        let (flat, other) =
            (Array3::from_elem((1, 11, 11), 0.25_f32), Array3::from_elem((1, 11, 11), 0.75_f32));
        let expected = (2.0 * 0.25 * 0.75 + C1) / (0.25 * 0.25 + 0.75 * 0.75 + C1);
        assert!((ssim(flat.view(), other.view()).unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn images_below_the_window_are_refused() {
        let a = Array3::<u8>::zeros((3, 10, 40));
        let message = ssim(a.view(), a.view()).unwrap_err().to_string();
        assert!(message.contains("11x11") && message.contains("40x10"), "{message}");
    }
}
