//! The autoencoder: every stage of decoding, and encoding.

use burn::tensor::{Device, Tensor};
use invardiff_models::{AutoencoderKl, DecoderStage};

use super::arrays::Arrays;
use super::check::Checks;
use super::compare::{self, values};
use super::folder::Folder;
use crate::error::{Context, Result, bail};

/// The most latent pixels along a side, so that a wrong shape does not fill the memory.
const MOST_LATENT: usize = 128;

/// Compares decoding of `z` and encoding of `x`, whichever the file has.
///
/// # Errors
/// When the weights cannot be loaded, or inputs do not fit them.
pub(super) fn check(folder: &Folder, device: &Device, checks: &mut Checks) -> Result<()> {
    let vae = AutoencoderKl::load(&folder.path, device).context("the weights")?;
    let arrays = folder.arrays("io.safetensors")?;
    if arrays.has("z") {
        decoding(&vae, &arrays, device, checks)?;
    }
    if arrays.has("x") {
        encoding(&vae, &arrays, device, checks)?;
    }
    Ok(())
}

fn decoding(vae: &AutoencoderKl, arrays: &Arrays, device: &Device, checks: &mut Checks) -> Result<()> {
    let z = input(arrays, "z", vae.config().latent_channels, 1, device)?;
    let mut seen = Vec::new();
    let image = vae.decode_with(z, |stage, value| {
        let key = match stage {
            DecoderStage::ConvIn => "dec.conv_in".to_owned(),
            DecoderStage::Mid => "dec.mid".to_owned(),
            DecoderStage::Up(index) => format!("dec.up{index}"),
        };
        seen.push((key, value.clone()));
    });
    seen.push(("image".to_owned(), image));
    for (key, value) in seen {
        part(checks, arrays, &key, value);
    }
    Ok(())
}

fn encoding(vae: &AutoencoderKl, arrays: &Arrays, device: &Device, checks: &mut Checks) -> Result<()> {
    let config = vae.config();
    let latents = vae.encode(input(arrays, "x", config.in_channels, config.factor(), device)?);
    part(checks, arrays, "latent_mean", latents.mean);
    part(checks, arrays, "latent_logvar", latents.log_variance);
    Ok(())
}

/// An image or latents, `[batch, channels, height, width]`, both sides multiples of `unit`.
fn input(arrays: &Arrays, key: &str, channels: usize, unit: usize, device: &Device) -> Result<Tensor<4>> {
    let shape = arrays.shape(key)?;
    let fits = |side: usize| side.is_multiple_of(unit) && (1..=MOST_LATENT).contains(&(side / unit));
    match *shape {
        [batch, found, height, width] if found == channels && batch > 0 && fits(height) && fits(width) => {
            arrays.tensor(key, [batch, found, height, width], device)
        }
        _ => {
            let most = MOST_LATENT * unit;
            bail!(
                "{}: '{key}' has shape {shape:?}, expected [batch, {channels}, height, width] with sides that are multiples \
                 of {unit} up to {most}",
                arrays.file
            )
        }
    }
}

fn part(checks: &mut Checks, arrays: &Arrays, key: &str, found: Tensor<4>) {
    if arrays.has(key) {
        checks.run(key, || compare::forward(&values(found), &arrays.get(key)?));
    }
}
