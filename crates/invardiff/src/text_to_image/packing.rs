//! Latents as FLUX takes them: 2 x 2 pixels of all channels are one token.

use burn::tensor::{Device, Tensor};
use invardiff_models::Canvas;
use invardiff_runtime::GaussianNoise;

/// Latent pixels along one side of a token.
pub(super) const PATCH: usize = 2;

/// Latents as tokens, row by row; a token's channels are those of the latents, each with its 2 x 2 pixels.
///
/// # Shapes
/// - `latents`: `[batch, channels, 2 * rows, 2 * columns]`
/// - result: `[batch, rows * columns, 4 * channels]`
pub fn pack(latents: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = latents.dims();
    let (rows, columns) = (height / PATCH, width / PATCH);
    latents.reshape([batch, channels, rows, PATCH, columns, PATCH]).permute([0, 2, 4, 1, 3, 5]).reshape([
        batch,
        rows * columns,
        channels * PATCH * PATCH,
    ])
}

/// Tokens as latents.
///
/// # Shapes
/// - `tokens`: `[batch, rows * columns, 4 * channels]` of the canvas
/// - result: `[batch, channels, 2 * rows, 2 * columns]`
pub fn unpack(tokens: Tensor<3>, canvas: Canvas) -> Tensor<4> {
    let ([batch, _, packed], Canvas { rows, columns, .. }) = (tokens.dims(), canvas);
    let channels = packed / (PATCH * PATCH);
    tokens.reshape([batch, rows, columns, channels, PATCH, PATCH]).permute([0, 3, 1, 4, 2, 5]).reshape([
        batch,
        channels,
        rows * PATCH,
        columns * PATCH,
    ])
}

/// The starting noise of one image a seed, drawn as latents.
///
/// # Shapes
/// - result: `[seeds, rows * columns, 4 * channels]`
pub(super) fn noise(canvas: Canvas, channels: usize, seeds: &[u64], device: &Device) -> Tensor<3> {
    let shape = [1, channels, canvas.rows * PATCH, canvas.columns * PATCH];
    let each = seeds.iter().map(|seed| pack(GaussianNoise::seeded(*seed).draw(shape, device)));
    Tensor::cat(each.collect(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_two_by_two_pixels_of_every_channel() {
        let values: Vec<f32> = (0..48u8).map(f32::from).collect();
        let latents = Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, 2, 4, 6]);
        let canvas = Canvas { rows: 2, columns: 3, text_tokens: 0 };
        let packed = pack(latents.clone());
        assert_eq!(packed.dims(), [1, 6, 8]);
        let token =
            |index: usize| -> Vec<f32> { packed.clone().narrow(1, index, 1).into_data().iter().collect() };
        assert_eq!(token(0), [0.0, 1.0, 6.0, 7.0, 24.0, 25.0, 30.0, 31.0]);
        // The last token of the second row.
        assert_eq!(token(5), [16.0, 17.0, 22.0, 23.0, 40.0, 41.0, 46.0, 47.0]);
        let back: Vec<f32> = unpack(packed, canvas).into_data().iter().collect();
        assert_eq!(back, latents.into_data().iter::<f32>().collect::<Vec<_>>());
    }

    #[test]
    fn noise_depends_on_its_seed_alone() {
        let canvas = Canvas { rows: 2, columns: 3, text_tokens: 0 };
        let draw = |seeds: &[u64]| noise(canvas, 4, seeds, &Device::flex());
        let values = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        assert_eq!(values(draw(&[3, 5]).narrow(0, 1, 1)), values(draw(&[5])));
        assert_ne!(values(draw(&[3])), values(draw(&[5])));
    }
}
