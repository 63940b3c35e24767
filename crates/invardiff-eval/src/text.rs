//! Short labels in a bitmap font.

use font8x8::{BASIC_FONTS, UnicodeFonts};
use image::{Rgb, RgbImage};

/// Height of a line in pixels.
pub(crate) const HEIGHT: u32 = 8;
/// Width of a character in pixels.
const ADVANCE: u32 = 8;

/// Width of a label in pixels.
pub(crate) fn width(label: &str) -> u32 {
    label.chars().count() as u32 * ADVANCE
}

/// The label, cut to a width in pixels.
pub(crate) fn fitting(label: &str, width: u32) -> String {
    label.chars().take((width / ADVANCE) as usize).collect()
}

/// Draws a label with its upper left corner at (`x`, `y`); what lies outside the picture is left out, what the font lacks
/// is a question mark.
pub(crate) fn draw(image: &mut RgbImage, label: &str, x: u32, y: u32, ink: Rgb<u8>) {
    for (place, letter) in (0..).zip(label.chars()) {
        let rows = BASIC_FONTS.get(letter).or_else(|| BASIC_FONTS.get('?')).unwrap_or_default();
        for (row, bits) in (0..).zip(rows) {
            for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                if let Some(pixel) = image.get_pixel_mut_checked(x + place * ADVANCE + column, y + row) {
                    *pixel = ink;
                }
            }
        }
    }
}
