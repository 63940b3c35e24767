//! What a metric reads an image from.

/// An element of an image, with the data range of the metrics: `0 ..= 1`.
///
/// `u8` is divided by 255; `f32` is taken as it is, so it must already lie in `0 ..= 1`.
pub trait Pixel: Copy + Send + Sync {
    /// The value in `0 ..= 1`.
    fn unit(self) -> f64;
}

impl Pixel for u8 {
    fn unit(self) -> f64 {
        f64::from(self) / 255.0
    }
}

impl Pixel for f32 {
    fn unit(self) -> f64 {
        f64::from(self)
    }
}
