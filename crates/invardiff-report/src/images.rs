//! Grids of images: full, cached, and their difference.

use image::{DynamicImage, RgbImage, imageops};
use invardiff_eval::{EvalError, GridLayout, image_grid, rgb_image, rgb_images};
use ndarray::{ArrayView4, Zip};

use crate::files;

/// How much brighter a difference is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amplify {
    /// The largest power of two, at most 64, at which no value is clipped.
    Fit,
    /// This factor; brighter values are clipped to white.
    By(f32),
}

/// One row of a [`ImageGrid`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRow {
    /// What the row shows, e.g. `full` or `difference x8`.
    pub label: String,
    /// One image per column.
    pub images: Vec<RgbImage>,
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
}

impl ImageGrid {
    /// A grid without rows.
    pub fn new(title: impl Into<String>, columns: Vec<String>) -> Self {
        Self { title: title.into(), columns, ..Self::default() }
    }

    /// The rows `full`, `cached` and their difference.
    ///
    /// # Shapes
    /// - `full`, `cached`: `[batch, channels, height, width]` in `[-1, 1]`, 1 or 3 channels
    ///
    /// # Errors
    /// [`EvalError::ShapesDiffer`] when they differ in shape, [`EvalError::Shape`] for other channels.
    pub fn compare(
        title: impl Into<String>,
        columns: Vec<String>,
        full: ArrayView4<'_, f32>,
        cached: ArrayView4<'_, f32>,
        amplify: Amplify,
    ) -> Result<Self, EvalError> {
        let grid = Self::new(title, columns).row("full", full)?;
        grid.row("cached", cached)?.difference("difference", full, cached, amplify)
    }

    /// This grid with one more row of images.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, height, width]` in `[-1, 1]`, 1 or 3 channels
    ///
    /// # Errors
    /// [`EvalError::Shape`] for other channels.
    pub fn row(mut self, label: impl Into<String>, images: ArrayView4<'_, f32>) -> Result<Self, EvalError> {
        self.rows.push(ImageRow { label: label.into(), images: rgb_images(images)? });
        Ok(self)
    }

    /// This grid with one more row: `|a - b|` per channel, black where equal, brightened; the label states the factor.
    ///
    /// # Shapes
    /// - `a`, `b`: `[batch, channels, height, width]` in `[-1, 1]`, 1 or 3 channels
    ///
    /// # Errors
    /// [`EvalError::ShapesDiffer`] when they differ in shape, [`EvalError::Shape`] for other channels.
    pub fn difference(
        mut self,
        label: &str,
        a: ArrayView4<'_, f32>,
        b: ArrayView4<'_, f32>,
        amplify: Amplify,
    ) -> Result<Self, EvalError> {
        if a.shape() != b.shape() {
            let (left, right) = (a.shape().to_vec(), b.shape().to_vec());
            return Err(EvalError::ShapesDiffer { what: "the images of a difference".into(), left, right });
        }
        // Half the distance in [-1, 1]: 1 is white against black.
        let distance =
            Zip::from(a).and(b).map_collect(|a, b| (a.clamp(-1.0, 1.0) - b.clamp(-1.0, 1.0)).abs() / 2.0);
        let most = distance.iter().copied().fold(0.0, f32::max);
        let factor = match amplify {
            Amplify::By(factor) => factor,
            Amplify::Fit => (1..=6).map(|power| 2_f32.powi(power)).rfind(|f| f * most <= 1.0).unwrap_or(1.0),
        };
        let bytes = distance.mapv(|value| (value * factor * 255.0).round() as u8);
        let images = bytes.outer_iter().map(rgb_image).collect::<Result<_, _>>()?;
        self.rows.push(ImageRow { label: format!("{label} x{factor}"), images });
        Ok(self)
    }

    pub(super) fn check(&self) -> Result<(), EvalError> {
        let shape = |what: String, expected: &str, found| {
            Err(EvalError::Shape {
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
    pub(super) fn labelled(&self) -> Result<RgbImage, EvalError> {
        let images: Vec<RgbImage> = self.rows.iter().flat_map(|row| row.images.clone()).collect();
        let layout = GridLayout {
            columns: self.rows.first().map(|row| row.images.len()),
            scale: None,
            column_labels: self.columns.clone(),
            row_labels: self.rows.iter().map(|row| row.label.clone()).collect(),
        };
        image_grid(&images, &layout)
    }

    /// Every image as a `data:` URL, shrunk by `shrink` (1 keeps its size).
    pub(super) fn addresses(&self, shrink: f64) -> Result<Vec<Vec<String>>, EvalError> {
        let address = |image: &RgbImage| {
            files::data_address(&DynamicImage::ImageRgb8(shrunk(image, shrink)), &self.title)
        };
        self.rows.iter().map(|row| row.images.iter().map(address).collect()).collect()
    }
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
    fn a_difference_is_brightened_and_says_by_how_much() {
        let full = Array4::from_shape_fn((2, 1, 4, 4), |(n, _, y, x)| (n + y + x) as f32 / 8.0 - 0.5);
        let cached = full.mapv(|value| value + 0.1);
        let columns = vec!["coat".to_owned(), "bag".to_owned()];
        let grid = ImageGrid::compare("t", columns, full.view(), cached.view(), Amplify::Fit).unwrap();
        grid.check().unwrap();
        let labels: Vec<&str> = grid.rows.iter().map(|row| row.label.as_str()).collect();
        assert_eq!(labels, ["full", "cached", "difference x16"]);
        // 0.1 / 2 * 16 * 255 = 204.
        assert!(grid.rows[2].images[0].pixels().all(|pixel| pixel.0 == [204; 3]));
        let cut = ImageGrid::new("t", vec![])
            .difference("d", full.view(), cached.view(), Amplify::By(100.0))
            .unwrap();
        assert_eq!(cut.rows[0].label, "d x100");
        assert_eq!(cut.rows[0].images[0].get_pixel(0, 0).0, [255; 3]);
    }

    #[test]
    fn equal_images_have_a_black_difference() {
        let full = Array4::from_elem((1, 3, 2, 2), 0.3);
        let grid = ImageGrid::compare("t", vec![], full.view(), full.view(), Amplify::Fit).unwrap();
        assert_eq!(grid.rows[2].images[0].get_pixel(1, 1).0, [0; 3]);
    }

    #[test]
    fn rows_of_other_length_or_size_are_refused() {
        let row = |label: &str, count: usize, side: u32| ImageRow {
            label: label.into(),
            images: vec![RgbImage::new(side, side); count],
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
