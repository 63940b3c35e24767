//! Short labels in a bitmap font.

use font8x8::{BASIC_FONTS, UnicodeFonts};
use image::{Rgb, RgbImage};

/// Height and width of a character in pixels, at size 1.
const SIDE: u32 = 8;

/// The font at a size: every one of its pixels becomes `size` x `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Font {
    pub(crate) size: u32,
}

impl Font {
    /// Height of a line in pixels.
    pub(crate) fn height(self) -> u32 {
        SIDE * self.size
    }

    /// Width of a label in pixels.
    pub(crate) fn width(self, label: &str) -> u32 {
        label.chars().count() as u32 * SIDE * self.size
    }

    /// The label, cut to a width in pixels.
    pub(crate) fn fitting(self, label: &str, width: u32) -> String {
        label.chars().take((width / (SIDE * self.size)) as usize).collect()
    }

    /// Draws a label with its upper left corner at (`x`, `y`); what lies outside the image is left out, what the font
    /// lacks is a question mark.
    pub(crate) fn draw(self, image: &mut RgbImage, label: &str, x: u32, y: u32, ink: Rgb<u8>) {
        for (place, letter) in (0..).zip(label.chars()) {
            let rows = BASIC_FONTS.get(letter).or_else(|| BASIC_FONTS.get('?')).unwrap_or_default();
            let set =
                |row: u32, column: u32| rows[(row / self.size) as usize] >> (column / self.size) & 1 == 1;
            let side = SIDE * self.size;
            for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
                if set(row, column)
                    && let Some(pixel) = image.get_pixel_mut_checked(x + place * side + column, y + row)
                {
                    *pixel = ink;
                }
            }
        }
    }
}
