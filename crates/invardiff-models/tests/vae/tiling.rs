//! Decoding in tiles against decoding at once.

use burn::tensor::{Tensor, TensorData};
use invardiff_models::{AutoencoderKl, Tiling};

use crate::fixture::{Dump, bits, data, device, values, within};

fn load(folder: &str) -> AutoencoderKl {
    AutoencoderKl::load(data(folder), &device()).unwrap()
}

/// Latents that repeat every 8 rows and columns.
fn periodic(channels: usize, rows: usize, columns: usize) -> Tensor<4> {
    let value = |channel: usize, row: usize, column: usize| {
        let seed = (channel * 64 + row % 8 * 8 + column % 8) as u64;
        let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..channels)
        .flat_map(|channel| {
            (0..rows).flat_map(move |row| (0..columns).map(move |column| (channel, row, column)))
        })
        .map(|(channel, row, column)| value(channel, row, column))
        .collect();
    Tensor::from_data(TensorData::new(values, [1, channels, rows, columns]), &device())
}

#[test]
fn a_image_of_one_tile_is_the_same() {
    for folder in ["vae_sd_tiny", "vae_flux_tiny"] {
        let vae = load(folder);
        let z: Tensor<4> = Dump::open(&data(folder).join("io.safetensors")).tensor("z");
        let mut steps = Vec::new();
        let tiled = vae.decode_tiled(z.clone(), Tiling::default(), |done, all| steps.push((done, all)));
        assert_eq!(bits(tiled), bits(vae.decode(z)));
        assert_eq!(steps, [(1, 1)]);
    }
}

/// The differences of two images of one row.
struct Differences {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
    /// The root of the mean square of the expected image's deviations from its mean.
    deviation: f32,
}

impl Differences {
    fn new(found: Tensor<4>, expected: Tensor<4>) -> Self {
        let [_, _, rows, columns] = expected.dims();
        let (found, expected) = (values(found), values(expected));
        let mean = expected.iter().sum::<f32>() / expected.len() as f32;
        let deviation = root_mean_square(expected.iter().map(|value| value - mean));
        let values = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        Self { values, rows, columns, deviation }
    }

    /// The root of the mean square, of the image's deviation, in the pixels that this says so of.
    fn error(&self, counts: impl Fn(usize, usize) -> bool) -> f32 {
        let counted = self.values.iter().enumerate().filter(|(i, _)| {
            let pixel = i % (self.rows * self.columns);
            counts(pixel / self.columns, pixel % self.columns)
        });
        root_mean_square(counted.map(|(_, value)| *value)) / self.deviation
    }

    /// How much the difference changes from one of these rows to the next.
    fn jump(&self, rows: impl Iterator<Item = usize> + Clone) -> f32 {
        let planes = self.values.chunks_exact(self.rows * self.columns);
        let steps = planes.flat_map(|plane| {
            rows.clone().flat_map(move |row| {
                let row = row * self.columns;
                (row..row + self.columns).map(move |pixel| plane[pixel + self.columns] - plane[pixel])
            })
        });
        root_mean_square(steps) / self.deviation
    }
}

fn root_mean_square(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) =
        values.fold((0.0f64, 0), |(sum, count), value| (sum + f64::from(value).powi(2), count + 1));
    (sum / f64::from(count)).sqrt() as f32
}

/// Norms and attention of a tile are its own. On latents that repeat themselves they are those of the whole but for the
/// tile's edges, so the larger the tiles, the nearer they are.
#[test]
fn tiles_agree_with_the_whole_away_from_their_edges() {
    for folder in ["vae_sd_tiny", "vae_flux_tiny"] {
        let vae = load(folder);
        let z = periodic(vae.config().latent_channels, 112, 40);
        let whole = vae.decode(z.clone());
        let decode = |tiling| {
            let mut steps = Vec::new();
            let tiled = vae.decode_tiled(z.clone(), tiling, |done, all| steps.push((done, all)));
            assert_eq!(tiled.dims(), whole.dims());
            assert!(steps.iter().map(|(done, _)| *done).eq(1..=steps[0].1), "{steps:?}");
            (Differences::new(tiled, whole.clone()), steps.len())
        };
        // Rows of latents: 0..64 and 48..112; all columns.
        let (large, tiles) = decode(Tiling::new(64, 16).unwrap());
        assert_eq!(tiles, 2);
        let (small, tiles) = decode(Tiling::new(24, 8).unwrap());
        assert_eq!(tiles, 14);
        let inside = |row: usize, _: usize| !(4 * 32..4 * 80).contains(&row);
        let (large_error, small_error) = (large.error(inside), small.error(inside));
        within(&format!("{folder}, tiles of 64"), large_error, 0.03);
        within(&format!("{folder}, tiles of 24 against 64"), 1.4 * large_error, small_error);
    }
}

/// Where tiles overlap, one fades into the other: at their edges the image changes as it does elsewhere.
#[test]
fn no_seam_is_seen() {
    for folder in ["vae_sd_tiny", "vae_flux_tiny"] {
        let vae = load(folder);
        let z = periodic(vae.config().latent_channels, 56, 16);
        let whole = vae.decode(z.clone());
        let jumps = |overlap| {
            let tiled = vae.decode_tiled(z.clone(), Tiling::new(32, overlap).unwrap(), |_, _| {});
            Differences::new(tiled, whole.clone())
        };
        // Rows of latents: 0..32 and 24..56, and 0..28 and 28..56.
        let (faded, hard) = (jumps(8), jumps(0));
        let at_edges = faded.jump([4 * 24 - 1, 4 * 32 - 1].into_iter());
        let elsewhere = faded.jump(0..4 * 56 - 1);
        let seam = hard.jump(std::iter::once(4 * 28 - 1));
        println!("{folder}: {at_edges:.3} at edges, {elsewhere:.3} elsewhere, {seam:.3} at a hard seam");
        within("at edges", at_edges, 1.5 * elsewhere);
        assert!(seam > 2.0 * at_edges, "{seam} {at_edges}");
    }
}
