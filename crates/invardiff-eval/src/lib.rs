//! What a cached run is worth: image metrics and timing.
//!
//! - [`psnr`], [`ssim`] and [`Lpips`] compare images, [`Quality`] sums a batch up;
//! - [`Classifier`] says what images show, and [`Gaussian::frechet`] how far their features are from those of others;
//! - [`alternate`] times runs against each other, [`peak_rss`] and [`reset_peak_rss`] read the peak memory;
//! - [`rgb_images`] makes images of arrays and [`image_grid`] one image of many.

mod classifier;
mod error;
mod frechet;
mod grid;
mod lpips;
mod pixel;
mod psnr;
mod quality;
mod ssim;
mod text;
mod timing;

pub use classifier::{Classified, Classifier, ClassifierShape, Prediction};
pub use error::EvalError;
pub use frechet::Gaussian;
pub use grid::{GridLayout, image_grid, rgb_image, rgb_images, rounded_bytes, truncated_bytes};
pub use lpips::{Backbone, Lpips, Weights, formula_weights};
pub use pixel::Pixel;
pub use psnr::{PSNR_OF_EQUAL, psnr, psnr_each};
pub use quality::Quality;
pub use ssim::{ssim, ssim_each};
pub use timing::{Run, Timings, alternate, median, medians, peak_rss, reset_peak_rss};
