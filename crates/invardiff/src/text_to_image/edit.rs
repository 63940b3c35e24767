//! Images that a model edits: an image to change by a prompt (FLUX.1-Kontext), or one with a mask to fill in (FLUX.1-Fill).

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use invardiff_models::AutoencoderKl;
use ndarray::{Array2, Array3};

use super::packing::{PATCH, pack};
use crate::decode::FACTOR;
use crate::error::{Error, Result};

/// An image to edit, and where it is to be drawn anew.
#[derive(Clone, Debug, PartialEq)]
pub struct EditImage {
    /// The image `[3, height, width]` in `-1 ..= 1`. Sides are multiples of 16.
    pub image: Array3<f32>,
    /// For FLUX.1-Fill, the mask `[height, width]`: `true` is drawn anew.
    pub mask: Option<Array2<bool>>,
}

/// The least level of grey, of 255, that is drawn anew: half, as in diffusers.
const HALF: u8 = 128;

impl EditImage {
    /// Reads an image and a mask, in which white is drawn anew, from PNG files.
    ///
    /// # Errors
    /// When a file cannot be read, a side is no multiple of 16, or the mask has another size than the image.
    pub fn open(image: impl AsRef<Path>, mask: Option<&Path>) -> Result<Self> {
        let path = image.as_ref();
        let pixels = read(path)?.to_rgb8();
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        let side = PATCH * FACTOR;
        if !width.is_multiple_of(side) || !height.is_multiple_of(side) || width * height == 0 {
            let round = |length: usize| (length / side).max(1) * side;
            return Err(Error::file(
                path,
                format_args!(
                    "the image is {width} x {height} pixels, and both sides must be multiples of {side}; resize it to {} x {}",
                    round(width),
                    round(height)
                ),
            ));
        }
        let value = |(channel, y, x): (usize, usize, usize)| {
            f32::from(pixels.get_pixel(x as u32, y as u32)[channel]) / 255.0 * 2.0 - 1.0
        };
        let image = Array3::from_shape_fn((3, height, width), value);
        let mask = mask.map(|path| {
            let grey = read(path)?.to_luma8();
            let found = (grey.width() as usize, grey.height() as usize);
            if found != (width, height) {
                let problem = format_args!(
                    "the mask is {} x {} pixels, and the image {width} x {height}; make the mask as large as the image",
                    found.0, found.1
                );
                return Err(Error::file(path, problem));
            }
            Ok(Array2::from_shape_fn((height, width), |(y, x)| grey.get_pixel(x as u32, y as u32)[0] >= HALF))
        });
        Ok(Self { image, mask: mask.transpose()? })
    }

    /// Height and width in pixels.
    pub fn size(&self) -> (usize, usize) {
        let (_, height, width) = self.image.dim();
        (height, width)
    }

    /// Rows and columns in packed latent tokens.
    pub(super) fn grid(&self) -> [usize; 2] {
        let (height, width) = self.size();
        [height, width].map(|length| length / (PATCH * FACTOR))
    }

    /// What the model is told: the packed latents of a reference image, or those of the image without what is masked and the mask.
    /// The latents are the most likely ones of the autoencoder's distribution.
    ///
    /// # Shapes
    /// - result: `[1, tokens, channels]`
    pub(super) fn tokens(&self, autoencoder: &AutoencoderKl, device: &Device) -> Tensor<3> {
        let (height, width) = self.size();
        let kept = |(channel, y, x): (usize, usize, usize)| match &self.mask {
            Some(mask) if mask[(y, x)] => 0.0,
            _ => self.image[(channel, y, x)],
        };
        let pixels = Array3::from_shape_fn(self.image.dim(), kept).into_iter().collect::<Vec<f32>>();
        let pixels = Tensor::from_data(TensorData::new(pixels, [1, 3, height, width]), (device, DType::F32));
        let latents = pack(autoencoder.scale(autoencoder.encode(pixels).mean));
        match &self.mask {
            None => latents,
            Some(mask) => Tensor::cat(vec![latents.cast(DType::F32), mask_tokens(mask, device)], 2),
        }
    }
}

/// A mask as tokens: the pixels of a latent pixel are its channels, row by row, and these are packed as latents are.
///
/// # Shapes
/// - `mask`: `[height, width]`
/// - result: `[1, tokens, 256]`
fn mask_tokens(mask: &Array2<bool>, device: &Device) -> Tensor<3> {
    let (height, width) = mask.dim();
    let values: Vec<f32> = mask.iter().map(|open| f32::from(u8::from(*open))).collect();
    let (rows, columns) = (height / FACTOR, width / FACTOR);
    let pixels = Tensor::<1>::from_data(TensorData::new(values, [height * width]), (device, DType::F32));
    let channels = pixels.reshape([1, rows, FACTOR, columns, FACTOR]).permute([0, 2, 4, 1, 3]);
    pack(channels.reshape([1, FACTOR * FACTOR, rows, columns]))
}

/// The most pixels of an image that is read.
const LARGEST: u64 = 1 << 26;

fn read(path: &Path) -> Result<image::DynamicImage> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::file(path, format_args!("the image cannot be read as PNG: {error}; save it as PNG"))
    };
    let mut reader = image::ImageReader::open(path).map_err(Error::io(path))?;
    reader.set_format(image::ImageFormat::Png);
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(8 * LARGEST);
    reader.limits(limits);
    reader.decode().map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(folder: &Path, name: &str, width: u32, height: u32) -> std::path::PathBuf {
        let path = folder.join(name);
        let pixel = |x: u32, y: u32| image::Rgb([(x * 9) as u8, (y * 7) as u8, if x > y { 255 } else { 0 }]);
        image::RgbImage::from_fn(width, height, pixel).save(&path).unwrap();
        path
    }

    #[test]
    fn pixels_are_from_minus_one_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = png(folder.path(), "a.png", 32, 16);
        let image = EditImage::open(&path, None).unwrap();
        assert_eq!((image.size(), image.grid()), ((16, 32), [1, 2]));
        let values = [(0, 0, 0), (2, 0, 1), (0, 3, 10)].map(|at| image.image[at]);
        assert_eq!(values, [-1.0, 1.0, 90.0 / 255.0 * 2.0 - 1.0]);
    }

    #[test]
    fn images_that_do_not_fit_say_what_would() {
        let folder = tempfile::tempdir().unwrap();
        let message =
            |image: &Path, mask: Option<&Path>| EditImage::open(image, mask).unwrap_err().to_string();
        let odd = png(folder.path(), "odd.png", 100, 33);
        let found = message(&odd, None);
        assert!(found.ends_with("both sides must be multiples of 16; resize it to 96 x 32"), "{found}");
        let (image, mask) = (png(folder.path(), "a.png", 32, 16), png(folder.path(), "m.png", 16, 16));
        let found = message(&image, Some(&mask));
        assert!(found.contains("the mask is 16 x 16 pixels, and the image 32 x 16"), "{found}");
        std::fs::write(&odd, b"\xff\xd8\xff\xe0 a JPEG").unwrap();
        let found = message(&odd, None);
        assert!(
            found.contains("odd.png: the image cannot be read as PNG") && found.ends_with("save it as PNG"),
            "{found}"
        );
    }

    /// As diffusers' `prepare_mask_latents` lays it out: `[1, 8, 8]` channels of a latent pixel, then the four of a token.
    #[test]
    fn a_mask_s_pixels_are_channels() {
        let mut mask = Array2::from_elem((16, 32), false);
        for (y, x) in [(0, 0), (1, 2), (9, 3), (15, 31)] {
            mask[(y, x)] = true;
        }
        let tokens = mask_tokens(&mask, &Device::flex());
        assert_eq!(tokens.dims(), [1, 2, FACTOR * FACTOR * PATCH * PATCH]);
        let values: Vec<f32> = tokens.into_data().iter().collect();
        let ones: Vec<usize> = (0..values.len()).filter(|index| values[*index] == 1.0).collect();
        // Channel (y % 8) * 8 + x % 8, then the latent pixel within the token, row by row.
        let at =
            |y: usize, x: usize| (x / 16) * 256 + ((y % 8) * 8 + x % 8) * 4 + (y / 8 % 2) * 2 + x / 8 % 2;
        let mut expected = vec![at(0, 0), at(1, 2), at(9, 3), at(15, 31)];
        expected.sort_unstable();
        assert_eq!(ones, expected);
    }
}
