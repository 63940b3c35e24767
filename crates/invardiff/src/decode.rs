//! Latents to images.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use invardiff_models::{AutoencoderKl, Tiling};
use ndarray::{Array4, Axis, concatenate};

use crate::error::{Error, Result};
use crate::pipeline::to_array;

/// Pixels along one side of a latent pixel in the autoencoders of DiT and FLUX.
pub(crate) const FACTOR: usize = 8;

/// Loads the autoencoder at a path, for latents of so many channels. It is kept in f32: it is small, and in f16 some leave
/// the range.
///
/// # Errors
/// When it cannot be loaded, or is one for other latents.
pub(crate) fn load(path: &Path, channels: usize, device: &Device) -> Result<AutoencoderKl> {
    let autoencoder = AutoencoderKl::load(path, device)?;
    let config = autoencoder.config();
    if config.latent_channels != channels {
        let found = config.latent_channels;
        let problem = format_args!(
            "the autoencoder has {found} latent channels, the transformer {channels}: they do not belong together"
        );
        return Err(Error::file(path, problem));
    }
    if config.factor() != FACTOR || !matches!(config.out_channels, 1 | 3) {
        let (found, factor) = (config.out_channels, config.factor());
        let problem = format_args!(
            "the autoencoder makes {found} channels and enlarges by {factor}, expected 1 or 3 channels and {FACTOR}"
        );
        return Err(Error::file(path, problem));
    }
    Ok(autoencoder)
}

/// What decoding one image of so many pixels holds, in bytes: the widest activations of a tile, and the image with its weights.
pub(crate) fn held_bytes(height: usize, width: usize) -> u64 {
    let tile = Tiling::default().size() * FACTOR;
    let tile = height.min(tile) * width.min(tile);
    (tile * HELD + 3 * 3 * height * width) as u64 * size_of::<f32>() as u64
}

/// What encoding an image of so many pixels holds, in bytes: as much for a pixel as decoding, and not in tiles.
pub(crate) fn encoding_bytes(height: usize, width: usize) -> u64 {
    (height * width * HELD) as u64 * size_of::<f32>() as u64
}

/// Values of a pixel that are held at once: what 5 GiB for 1024 x 1024 come to, as the autoencoder's documentation has it.
const HELD: usize = 1280;

/// Images in `-1 ..= 1`, not clamped. One at a time, and large ones in tiles, so that little memory is taken.
///
/// # Shapes
/// - `latents`: `[batch, channels, rows, columns]`, as diffusion has them
/// - result: `[batch, 3, 8 * rows, 8 * columns]`
///
/// # Errors
/// When the device fails, or a decoded value is NaN or infinite.
pub(crate) fn decode(autoencoder: &AutoencoderKl, latents: Tensor<4>) -> Result<Array4<f32>> {
    let [batch, ..] = latents.dims();
    let images = (0..batch).map(|row| {
        let latent = autoencoder.unscale(latents.clone().narrow(0, row, 1));
        let image = to_array(autoencoder.decode_tiled(latent, Tiling::default(), |_, _| {}))?;
        let broken = image.iter().filter(|value| !value.is_finite()).count();
        let values = image.len();
        if broken > 0 {
            let problem = format!("{broken} of {values} decoded values are NaN or infinite");
            return Err(Error::Model(format!("{problem}: the autoencoder's weights make them so")));
        }
        Ok(image)
    });
    let images = images.collect::<Result<Vec<_>>>()?;
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    concatenate(Axis(0), &views).map_err(Error::shape)
}
