//! How near images stay to those they are compared with.

use ndarray::ArrayView4;
use serde::Serialize;

use crate::error::EvalError;
use crate::pixel::Pixel;
use crate::psnr::psnr_each;
use crate::ssim::ssim_each;

/// PSNR and SSIM of a batch of images, in the mean and at worst.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Mean PSNR over images in dB; equal images count as [`crate::PSNR_OF_EQUAL`].
    pub psnr_mean: f64,
    /// Least PSNR in dB.
    pub psnr_worst: f64,
    /// Mean SSIM over images.
    pub ssim_mean: f64,
    /// Least SSIM.
    pub ssim_worst: f64,
}

impl Quality {
    /// Compares two batches image by image.
    ///
    /// # Shapes
    /// - `a`, `b`: `[batch, channels, height, width]`, at least one image
    ///
    /// # Errors
    /// As [`crate::psnr`] and [`crate::ssim`]; [`EvalError::Shape`] for an empty batch.
    pub fn between<P: Pixel>(a: ArrayView4<'_, P>, b: ArrayView4<'_, P>) -> Result<Self, EvalError> {
        Self::of(&psnr_each(a, b)?, &ssim_each(a, b)?)
    }

    /// Mean and worst of values, one an image.
    ///
    /// # Errors
    /// [`EvalError::Shape`] when there is no image.
    pub fn of(psnr: &[f64], ssim: &[f64]) -> Result<Self, EvalError> {
        if psnr.is_empty() || psnr.len() != ssim.len() {
            let (what, found) = ("values of PSNR and SSIM".to_owned(), vec![psnr.len(), ssim.len()]);
            return Err(EvalError::Shape {
                what,
                expected: "one of each an image, at least one".into(),
                found,
            });
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let worst = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        Ok(Self {
            psnr_mean: mean(psnr),
            psnr_worst: worst(psnr),
            ssim_mean: mean(ssim),
            ssim_worst: worst(ssim),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    #[test]
    fn the_worst_image_and_the_mean_are_told_apart() {
        let a = Array4::from_shape_fn((2, 1, 16, 16), |(_, _, y, x)| (x * 9 + y * 5) as u8);
        let mut b = a.clone();
        b.index_axis_mut(ndarray::Axis(0), 1).mapv_inplace(|value| value ^ 16);
        let quality = Quality::between(a.view(), b.view()).unwrap();
        let worst = 20.0 * (255.0_f64 / 16.0).log10();
        assert!((quality.psnr_worst - worst).abs() < 1e-9, "{quality:?}");
        assert!((quality.psnr_mean - f64::midpoint(worst, 100.0)).abs() < 1e-9, "{quality:?}");
        assert!(quality.ssim_worst < quality.ssim_mean && quality.ssim_mean < 1.0, "{quality:?}");
        assert!(Quality::of(&[], &[]).is_err() && Quality::of(&[1.0], &[]).is_err());
    }
}
