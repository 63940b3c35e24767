//! Arrays as images, and many images as one.

use image::{Rgb, RgbImage, imageops};
use ndarray::{Array4, ArrayView3, ArrayView4};

use crate::error::EvalError;
use crate::text::Font;

/// Values in `[-1, 1]` as bytes, rounded to the nearest: for looking at.
pub fn rounded_bytes(x: ArrayView4<'_, f32>) -> Array4<u8> {
    x.mapv(|value| (unit(value) * 255.0).round() as u8)
}

/// Values in `[-1, 1]` as bytes, the fraction cut off: what the authors' DiT scripts measure PSNR and SSIM on. On average
/// half a grey level darker than [`rounded_bytes`].
pub fn truncated_bytes(x: ArrayView4<'_, f32>) -> Array4<u8> {
    x.mapv(|value| (unit(value) * 255.0) as u8)
}

fn unit(value: f32) -> f32 {
    (value * 0.5 + 0.5).clamp(0.0, 1.0)
}

/// Every image of a batch of values in `[-1, 1]`, rounded.
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]` with 1 (grey) or 3 channels
///
/// # Errors
/// [`EvalError::Shape`] for another number of channels.
pub fn rgb_images(x: ArrayView4<'_, f32>) -> Result<Vec<RgbImage>, EvalError> {
    rounded_bytes(x).outer_iter().map(rgb_image).collect()
}

/// One image of bytes.
///
/// # Shapes
/// - `bytes`: `[channels, height, width]` with 1 (grey) or 3 channels
///
/// # Errors
/// [`EvalError::Shape`] for another number of channels.
pub fn rgb_image(bytes: ArrayView3<'_, u8>) -> Result<RgbImage, EvalError> {
    let (channels, height, width) = bytes.dim();
    let channel: fn(usize) -> usize = match channels {
        1 => |_| 0,
        3 => |channel| channel,
        _ => {
            let (what, found) = ("an image".to_owned(), bytes.shape().to_vec());
            let expected = "[channels, height, width] with 1 or 3 channels".to_owned();
            return Err(EvalError::Shape { what, expected, found });
        }
    };
    Ok(RgbImage::from_fn(width as u32, height as u32, |x, y| {
        Rgb(std::array::from_fn(|c| bytes[[channel(c), y as usize, x as usize]]))
    }))
}

/// How [`image_grid`] lays images out. The default is a near-square grid without labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GridLayout {
    /// Images in a row; `None` for as near to a square as can be.
    pub columns: Option<usize>,
    /// How many pixels a pixel becomes on a side; `None` enlarges images below 128 pixels to about that.
    pub scale: Option<u32>,
    /// Texts above the columns; may be empty.
    pub column_labels: Vec<String>,
    /// Texts left of the rows; may be empty.
    pub row_labels: Vec<String>,
}

/// Space between images in pixels.
const GAP: u32 = 4;
/// Side that small images are enlarged to, in pixels.
const SIDE: u32 = 128;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([32, 32, 32]);

impl GridLayout {
    /// The enlargement for images of this size.
    fn scale(&self, width: u32, height: u32) -> u32 {
        self.scale.unwrap_or(SIDE.div_ceil(width.max(height).max(1))).max(1)
    }

    /// The font for images of this shown width: large where every column label fits.
    fn font(&self, width: u32) -> Font {
        let large = Font { size: 2 };
        let fits = width >= SIDE && self.column_labels.iter().all(|label| large.width(label) <= width);
        if fits { large } else { Font { size: 1 } }
    }
}

/// Images of one size as one image, row by row, enlarged by whole factors (nearest neighbour), with labels in a plain
/// bitmap font (ASCII; a label too long for its column is cut).
///
/// # Errors
/// [`EvalError::Shape`] without images, [`EvalError::ShapesDiffer`] when they have different sizes.
pub fn image_grid(images: &[RgbImage], layout: &GridLayout) -> Result<RgbImage, EvalError> {
    let Some(first) = images.first() else {
        let (what, expected) = ("an image grid".to_owned(), "at least one image".to_owned());
        return Err(EvalError::Shape { what, expected, found: vec![0] });
    };
    for image in images {
        let size = |image: &RgbImage| [image.height() as usize, image.width() as usize];
        crate::error::same_shape("images of a grid", &size(first), &size(image))?;
    }
    let columns = layout.columns.unwrap_or_else(|| near_square(images.len())).clamp(1, images.len()) as u32;
    let rows = (images.len() as u32).div_ceil(columns);
    let scale = layout.scale(first.width(), first.height());
    let (width, height) = (first.width() * scale, first.height() * scale);
    let font = layout.font(width);
    let left = layout.row_labels.iter().map(|label| font.width(label) + 2 * GAP).max().unwrap_or(GAP);
    let top = if layout.column_labels.is_empty() { GAP } else { font.height() + 2 * GAP };
    let place = |column: u32, row: u32| (left + column * (width + GAP), top + row * (height + GAP));
    let (right, bottom) = place(columns, rows);
    let mut grid = RgbImage::from_pixel(right, bottom, PAPER);
    for (number, image) in (0..).zip(images) {
        let (x, y) = place(number % columns, number / columns);
        let enlarged = imageops::resize(image, width, height, imageops::FilterType::Nearest);
        imageops::replace(&mut grid, &enlarged, i64::from(x), i64::from(y));
    }
    for (column, label) in (0..columns).zip(&layout.column_labels) {
        let label = font.fitting(label, width);
        let centred = place(column, 0).0 + (width - font.width(&label)) / 2;
        font.draw(&mut grid, &label, centred, GAP, INK);
    }
    for (row, label) in (0..rows).zip(&layout.row_labels) {
        let middle = place(0, row).1 + height.saturating_sub(font.height()) / 2;
        font.draw(&mut grid, label, GAP, middle, INK);
    }
    Ok(grid)
}

/// The least number of columns that makes a grid no higher than wide.
fn near_square(images: usize) -> usize {
    let root = images.isqrt();
    if root * root == images { root } else { root + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(columns: usize, scale: u32) -> GridLayout {
        GridLayout { columns: Some(columns), scale: Some(scale), ..GridLayout::default() }
    }

    #[test]
    fn bytes_are_rounded_for_looking_and_cut_for_measuring() {
        let x = Array4::from_shape_vec((1, 1, 1, 5), vec![-1.5, -1.0, 0.0, 0.999, 7.0]).unwrap();
        assert_eq!(rounded_bytes(x.view()).into_raw_vec_and_offset().0, [0, 0, 128, 255, 255]);
        assert_eq!(truncated_bytes(x.view()).into_raw_vec_and_offset().0, [0, 0, 127, 254, 255]);
    }

    #[test]
    fn grey_and_colour_become_rgb_and_other_channels_are_refused() {
        let x = Array4::from_shape_fn((2, 3, 1, 2), |(n, c, _, x)| (n + c + x) as f32 / 4.0 - 1.0);
        let images = rgb_images(x.view()).unwrap();
        assert_eq!(images.len(), 2);
        assert_eq!(images[1].get_pixel(1, 0).0, [64, 96, 128]);
        let grey = rgb_images(Array4::from_elem((1, 1, 1, 1), 1.0).view()).unwrap();
        assert_eq!(grey[0].get_pixel(0, 0).0, [255; 3]);
        let message = rgb_images(Array4::zeros((1, 4, 2, 2)).view()).unwrap_err().to_string();
        assert!(message.contains("1 or 3 channels"), "{message}");
    }

    #[test]
    fn images_stand_row_by_row_enlarged() {
        let images: Vec<RgbImage> =
            (0..5).map(|i| RgbImage::from_pixel(2, 3, Rgb([i * 40, 0, 255 - i * 40]))).collect();
        let grid = image_grid(&images, &plain(2, 3)).unwrap();
        assert_eq!(grid.dimensions(), (GAP + 2 * (6 + GAP), GAP + 3 * (9 + GAP)));
        for (i, image) in (0..).zip(&images) {
            let (x, y) = (GAP + i % 2 * (6 + GAP), GAP + i / 2 * (9 + GAP));
            assert_eq!(grid.get_pixel(x, y), image.get_pixel(0, 0));
            assert_eq!(grid.get_pixel(x + 5, y + 8), image.get_pixel(0, 0));
            assert_eq!(*grid.get_pixel(x + 6, y), PAPER);
        }
    }

    #[test]
    fn labels_leave_ink_in_the_margins_only() {
        let images = vec![RgbImage::from_pixel(4, 4, Rgb([9, 9, 9])); 4];
        let mut layout = plain(2, 8);
        let bare = image_grid(&images, &layout).unwrap();
        let small = Font { size: 1 };
        layout.row_labels = vec!["full".into(), "cached".into()];
        layout.column_labels = vec!["3".into(), "a label too long".into()];
        let grid = image_grid(&images, &layout).unwrap();
        let left = grid.width() - bare.width();
        assert_eq!(left, small.width("cached") + GAP);
        let ink = grid.enumerate_pixels().filter(|(_, _, pixel)| **pixel == INK);
        let (mut above, mut beside) = (0, 0);
        for (x, y, _) in ink {
            let in_top = y < small.height() + 2 * GAP;
            assert!(in_top || x < small.width("cached") + 2 * GAP, "ink at {x}, {y}");
            above += u32::from(in_top);
            beside += u32::from(!in_top);
        }
        assert!(above > 10 && beside > 10, "{above} {beside}");
    }

    #[test]
    fn labels_are_large_where_they_fit() {
        let mut layout = GridLayout { column_labels: vec!["bag".into()], ..GridLayout::default() };
        assert_eq!(layout.font(128), Font { size: 2 });
        layout.column_labels.push("ankle boot".into());
        assert_eq!(layout.font(128), Font { size: 1 });
        assert_eq!(layout.font(160), Font { size: 2 });
    }

    #[test]
    fn unequal_sizes_and_nothing_are_refused() {
        assert!(matches!(image_grid(&[], &GridLayout::default()), Err(EvalError::Shape { .. })));
        let unequal = [RgbImage::new(2, 2), RgbImage::new(2, 3)];
        assert!(matches!(image_grid(&unequal, &GridLayout::default()), Err(EvalError::ShapesDiffer { .. })));
        assert_eq!([1, 2, 4, 5, 9, 10, 16].map(near_square), [1, 2, 2, 3, 3, 4, 4]);
    }
}
