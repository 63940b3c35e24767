//! A perceptually even colour map.

use image::{Rgb, Rgba};

/// Lightness (OKLab) at the low and the high end.
const LIGHTNESS: (f64, f64) = (0.26, 0.95);
/// Hue in degrees (OKLCh) at the low and the high end: violet, blue, teal, green, yellow.
const HUE: (f64, f64) = (300.0, 103.0);
/// Chroma aimed at; less where sRGB has no such colour.
const CHROMA: f64 = 0.145;

/// The colour at `fraction` of the way from low (dark violet) to high (light yellow). Lightness rises evenly, so the map
/// stays readable in grey and with colour blindness.
pub(super) fn at(fraction: f64) -> Rgb<u8> {
    let t = fraction.clamp(0.0, 1.0);
    let lightness = LIGHTNESS.0 + t * (LIGHTNESS.1 - LIGHTNESS.0);
    let hue = (HUE.0 + t * (HUE.1 - HUE.0)).to_radians();
    let mut chroma = CHROMA;
    loop {
        let rgb = linear_rgb(lightness, chroma * hue.cos(), chroma * hue.sin());
        if rgb.iter().all(|value| (0.0..=1.0).contains(value)) || chroma <= 0.0 {
            return Rgb(rgb.map(encode));
        }
        chroma -= 0.0025;
    }
}

/// [`at`] for a cell of an image: transparent where there is no value.
pub(super) fn cell(fraction: Option<f64>) -> Rgba<u8> {
    fraction.map_or(Rgba([0; 4]), |fraction| {
        let Rgb([red, green, blue]) = at(fraction);
        Rgba([red, green, blue, 255])
    })
}

/// OKLab to linear sRGB (Ottosson 2020).
fn linear_rgb(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

/// Linear light to an sRGB byte.
fn encode(value: f64) -> u8 {
    let value = value.clamp(0.0, 1.0);
    let gamma = if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
    (gamma * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of a byte colour.
    fn luminance(Rgb(bytes): Rgb<u8>) -> f64 {
        let linear = bytes.map(|byte| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn the_map_gets_lighter_all_the_way_and_wide() {
        let light: Vec<f64> = (0..=64).map(|i| luminance(at(f64::from(i) / 64.0))).collect();
        assert!(light.windows(2).all(|pair| pair[1] > pair[0]), "{light:?}");
        assert!(light[0] < 0.04 && light[64] > 0.75, "{} {}", light[0], light[64]);
        assert_eq!(at(-3.0), at(0.0));
        assert_eq!(cell(None).0[3], 0);
    }

    #[test]
    fn encode_is_srgb() {
        assert_eq!([0.0, 0.215_860_5, 1.0].map(encode), [0, 128, 255]);
    }
}
