//! Grids of images: full, cached, and their difference.

use crate::error::ReportError;
use image::{DynamicImage, RgbImage, imageops};
use invardiff_eval::{GridLayout, PSNR_OF_EQUAL, image_grid, psnr_each, rgb_images};
use ndarray::{Array4, ArrayView2, ArrayView4, Axis, Zip};

use crate::{colour, files};

/// How much brighter a difference is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amplify {
    /// The power of two from 1 to 64 that brings the mean difference nearest to a quarter of the range: what differs is seen,
    /// and at 20 dB (a tenth of the range) it is bright. Larger values are clipped.
    Fit,
    /// This factor; larger values are clipped.
    By(f32),
}

/// One row of a [`ImageGrid`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRow {
    /// What the row shows, e.g. `full` or `difference x8`.
    pub label: String,
    /// One image per column.
    pub images: Vec<RgbImage>,
    /// What stands below each image, e.g. `27.4 dB`; empty, or one per column.
    pub captions: Vec<String>,
}

/// Rows of images of one size; a column is one starting noise and condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageGrid {
    /// Its title.
    pub title: String,
    /// A sentence below it; may be empty.
    pub caption: String,
    /// Texts above the columns, e.g. class names; empty, or one per column.
    pub columns: Vec<String>,
    /// The rows from top to bottom.
    pub rows: Vec<ImageRow>,
    /// Whether the page lays the second row over the first, with a slider between them; a third row is their difference.
    pub compared: bool,
}

impl ImageGrid {
    /// A grid without rows.
    pub fn new(title: impl Into<String>, columns: Vec<String>) -> Self {
        Self { title: title.into(), columns, ..Self::default() }
    }

    /// The rows `full`, `cached` (with its PSNR below each image) and their difference, to be laid over each other.
    ///
    /// # Shapes
    /// - `full`, `cached`: `[batch, channels, height, width]` in `[-1, 1]`, 1 or 3 channels
    ///
    /// # Errors
    /// [`ReportError::Eval`] when they differ in shape, [`ReportError::Eval`] for other channels.
    pub fn compare(
        title: impl Into<String>,
        columns: Vec<String>,
        full: ArrayView4<'_, f32>,
        cached: ArrayView4<'_, f32>,
        amplify: Amplify,
    ) -> Result<Self, ReportError> {
        let grid = Self { compared: true, ..Self::new(title, columns) }.row("full", full)?;
        grid.row_beside("cached", cached, full)?.difference("difference", full, cached, amplify)
    }

    /// This grid with one more row of images.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, height, width]` in `[-1, 1]`, 1 or 3 channels
    ///
    /// # Errors
    /// [`ReportError::Eval`] for other channels.
    pub fn row(mut self, label: impl Into<String>, images: ArrayView4<'_, f32>) -> Result<Self, ReportError> {
        let (label, images) = (label.into(), rgb_images(images)?);
        self.rows.push(ImageRow { label, images, captions: Vec::new() });
        Ok(self)
    }

    /// This grid with one more row of images, and below each its PSNR in dB to the image of `reference` in its column.
    ///
    /// # Shapes
    /// - `images`, `reference`: `[batch, channels, height, width]` in `[-1, 1]`, 1 or 3 channels
    ///
    /// # Errors
    /// [`ReportError::Eval`] when they differ in shape, [`ReportError::Eval`] for other channels.
    pub fn row_beside(
        self,
        label: impl Into<String>,
        images: ArrayView4<'_, f32>,
        reference: ArrayView4<'_, f32>,
    ) -> Result<Self, ReportError> {
        let unit =
            |images: ArrayView4<'_, f32>| images.mapv(|value| f32::midpoint(value, 1.0).clamp(0.0, 1.0));
        let psnr = psnr_each(unit(images).view(), unit(reference).view())?;
        let mut grid = self.row(label, images)?;
        if let Some(row) = grid.rows.last_mut() {
            row.captions = psnr.into_iter().map(decibels).collect();
        }
        Ok(grid)
    }

    /// This grid with one more row: `|a - b|`, the mean over channels, in the colours of the heat maps (dark violet where
    /// equal); the label states by which factor it is multiplied.
    ///
    /// # Shapes
    /// - `a`, `b`: `[batch, channels, height, width]` in `[-1, 1]`, 1 or 3 channels
    ///
    /// # Errors
    /// [`ReportError::Eval`] when they differ in shape, [`ReportError::Eval`] for other channels.
    pub fn difference(
        mut self,
        label: &str,
        a: ArrayView4<'_, f32>,
        b: ArrayView4<'_, f32>,
        amplify: Amplify,
    ) -> Result<Self, ReportError> {
        if a.shape() != b.shape() {
            let (left, right) = (a.shape().to_vec(), b.shape().to_vec());
            return Err(ReportError::Eval(invardiff_eval::EvalError::ShapesDiffer {
                what: "the images of a difference".into(),
                left,
                right,
            }));
        }
        // Half the distance in [-1, 1]: 1 is white against black.
        let distance =
            Zip::from(a).and(b).map_collect(|a, b| (a.clamp(-1.0, 1.0) - b.clamp(-1.0, 1.0)).abs() / 2.0);
        let factor = match amplify {
            Amplify::By(factor) => factor,
            Amplify::Fit => fitting(&distance),
        };
        let mean = distance.mean_axis(Axis(1)).unwrap_or_default();
        let images = mean.outer_iter().map(|image| coloured(image, factor)).collect();
        self.rows.push(ImageRow { label: format!("{label} x{factor}"), images, captions: Vec::new() });
        Ok(self)
    }

    pub(super) fn check(&self) -> Result<(), ReportError> {
        let shape = |what: String, expected: &str, found| {
            Err(ReportError::Shape {
                what: format!("the image grid '{}': {what}", self.title),
                expected: expected.into(),
                found,
            })
        };
        let Some(first) = self.rows.first().and_then(|row| row.images.first()) else {
            return shape("its first row".into(), "at least one image", vec![0]);
        };
        let columns = self.rows[0].images.len();
        if let Some(row) = self.rows.iter().find(|row| row.images.len() != columns) {
            let expected = format!("{columns} images, as the first row");
            return shape(format!("row '{}'", row.label), &expected, vec![row.images.len()]);
        }
        if !self.columns.is_empty() && self.columns.len() != columns {
            return shape(
                "its column labels".into(),
                &format!("{columns} or none"),
                vec![self.columns.len()],
            );
        }
        if let Some(row) = self.rows.iter().find(|row| ![0, columns].contains(&row.captions.len())) {
            let what = format!("the captions of row '{}'", row.label);
            return shape(what, &format!("{columns} or none"), vec![row.captions.len()]);
        }
        let sizes = self.rows.iter().flat_map(|row| row.images.iter().map(move |image| (row, image)));
        match sizes.into_iter().find(|(_, image)| image.dimensions() != first.dimensions()) {
            Some((row, image)) => {
                let expected = format!("images of {}x{}", first.width(), first.height());
                let found = vec![image.width() as usize, image.height() as usize];
                shape(format!("row '{}'", row.label), &expected, found)
            }
            None => Ok(()),
        }
    }

    /// Pixels of all images.
    pub(super) fn pixels(&self) -> f64 {
        let images = self.rows.iter().flat_map(|row| &row.images);
        images.map(|image| f64::from(image.width()) * f64::from(image.height())).sum()
    }

    /// All images and labels as one image.
    pub(super) fn labelled(&self) -> Result<RgbImage, ReportError> {
        let images: Vec<RgbImage> = self.rows.iter().flat_map(|row| row.images.clone()).collect();
        let layout = GridLayout {
            columns: self.rows.first().map(|row| row.images.len()),
            scale: None,
            column_labels: self.columns.clone(),
            row_labels: self.rows.iter().map(|row| row.label.clone()).collect(),
        };
        Ok(image_grid(&images, &layout)?)
    }

    /// Every image as a `data:` URL, shrunk by `shrink` (1 keeps its size).
    pub(super) fn addresses(&self, shrink: f64) -> Result<Vec<Vec<String>>, ReportError> {
        let address = |image: &RgbImage| {
            files::data_address(&DynamicImage::ImageRgb8(shrunk(image, shrink)), &self.title)
        };
        self.rows.iter().map(|row| row.images.iter().map(address).collect()).collect()
    }
}

/// The factor of [`Amplify::Fit`]: by the root of the mean square, which PSNR is made of.
fn fitting(distance: &Array4<f32>) -> f32 {
    let square = distance.iter().map(|value| value * value).sum::<f32>() / distance.len().max(1) as f32;
    let wanted = 0.25 / square.sqrt().max(f32::MIN_POSITIVE);
    2_f32.powi(wanted.log2().round().clamp(0.0, 6.0) as i32)
}

/// Values times `factor` as colours, 0 dark violet and 1 and above light yellow.
fn coloured(values: ArrayView2<'_, f32>, factor: f32) -> RgbImage {
    let (height, width) = values.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        colour::at(f64::from(values[[y as usize, x as usize]] * factor))
    })
}

/// `27.4 dB`, or `equal`.
fn decibels(psnr: f64) -> String {
    if psnr >= PSNR_OF_EQUAL { "equal".to_owned() } else { format!("{psnr:.1} dB") }
}

fn shrunk(image: &RgbImage, shrink: f64) -> RgbImage {
    if shrink <= 1.0 {
        return image.clone();
    }
    let side = |pixels: u32| ((f64::from(pixels) / shrink) as u32).max(1);
    imageops::resize(image, side(image.width()), side(image.height()), imageops::FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    #[test]
    fn a_difference_says_by_how_much_it_is_multiplied() {
        let full = Array4::from_shape_fn((2, 1, 4, 4), |(n, _, y, x)| (n + y + x) as f32 / 8.0 - 0.5);
        let cached = full.mapv(|value| value + 0.1);
        let columns = vec!["coat".to_owned(), "bag".to_owned()];
        let grid = ImageGrid::compare("t", columns, full.view(), cached.view(), Amplify::Fit).unwrap();
        grid.check().unwrap();
        let labels: Vec<&str> = grid.rows.iter().map(|row| row.label.as_str()).collect();
        // 0.1 / 2 is 26 dB, and 4 times it is 0.2 of the range.
        assert_eq!(labels, ["full", "cached", "difference x4"]);
        assert_eq!(grid.rows[1].captions, ["26.0 dB", "26.0 dB"]);
        assert!(grid.rows[2].images[0].pixels().all(|pixel| *pixel == colour::at(0.2)));
        let cut = ImageGrid::new("t", vec![])
            .difference("d", full.view(), cached.view(), Amplify::By(100.0))
            .unwrap();
        assert_eq!(cut.rows[0].label, "d x100");
        assert_eq!(*cut.rows[0].images[0].get_pixel(0, 0), colour::at(1.0));
    }

    #[test]
    fn a_difference_of_20_decibels_is_doubled_or_more() {
        let full = Array4::<f32>::zeros((1, 1, 8, 8));
        let row = |distance: f32| {
            let other = full.mapv(|value| value + 2.0 * distance);
            let grid = ImageGrid::compare("t", vec![], full.view(), other.view(), Amplify::Fit).unwrap();
            (grid.rows[1].captions[0].clone(), grid.rows[2].label.clone())
        };
        assert_eq!(row(0.1), ("20.0 dB".into(), "difference x2".into()));
        assert_eq!(row(0.01), ("40.0 dB".into(), "difference x32".into()));
        assert_eq!(row(0.5), ("6.0 dB".into(), "difference x1".into()));
    }

    #[test]
    fn equal_images_have_a_dark_difference() {
        let full = Array4::from_elem((1, 3, 2, 2), 0.3);
        let grid = ImageGrid::compare("t", vec![], full.view(), full.view(), Amplify::Fit).unwrap();
        assert_eq!(*grid.rows[2].images[0].get_pixel(1, 1), colour::at(0.0));
        assert_eq!(grid.rows[1].captions, ["equal"]);
    }

    #[test]
    fn rows_of_other_length_or_size_are_refused() {
        let row = |label: &str, count: usize, side: u32| ImageRow {
            label: label.into(),
            images: vec![RgbImage::new(side, side); count],
            captions: Vec::new(),
        };
        let grid = |rows, columns: &[&str]| ImageGrid {
            title: "t".into(),
            rows,
            columns: columns.iter().map(ToString::to_string).collect(),
            ..ImageGrid::default()
        };
        assert!(grid(vec![], &[]).check().is_err());
        assert!(grid(vec![row("a", 2, 4), row("b", 2, 4)], &["x", "y"]).check().is_ok());
        for bad in
            [grid(vec![row("a", 2, 4), row("b", 1, 4)], &[]), grid(vec![row("a", 2, 4), row("b", 2, 5)], &[])]
        {
            assert!(bad.check().unwrap_err().to_string().contains("row 'b'"));
        }
        assert!(grid(vec![row("a", 2, 4)], &["x"]).check().is_err());
    }
}
