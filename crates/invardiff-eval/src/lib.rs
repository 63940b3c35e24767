//! What a cached run is worth: image metrics, timing, and a report that opens from disk.
//!
//! - [`psnr`], [`ssim`] and [`Lpips`] compare pictures;
//! - [`alternate`] times runs against each other, [`peak_rss`] reads the peak memory;
//! - [`picture_grid`] and [`rgb_images`] make pictures of arrays.

mod error;
mod lpips;
mod pixel;
mod psnr;
mod ssim;

pub use error::EvalError;
pub use lpips::{Backbone, Lpips, Weights, formula_weights};
pub use pixel::Pixel;
pub use psnr::{PSNR_OF_EQUAL, psnr, psnr_each};
pub use ssim::{ssim, ssim_each};
