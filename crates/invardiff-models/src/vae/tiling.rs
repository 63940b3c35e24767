//! Decoding large images in tiles.

use std::ops::Range;

use burn::tensor::{DType, Tensor, TensorData};

use super::AutoencoderKl;

/// How an image is cut into tiles, in latent pixels.
///
/// All tiles have the same size, at most [`Tiling::size`]; neighbours share at least [`Tiling::overlap`] pixels, in which one
/// fades into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    size: usize,
    overlap: usize,
}

/// An impossible tiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tiles of {size} latent pixels cannot overlap by {overlap}: the overlap must be at most half of a tile"
)]
pub struct TilingError {
    /// Rows and columns of a tile.
    pub size: usize,
    /// Rows or columns that neighbours share.
    pub overlap: usize,
}

impl Default for Tiling {
    /// Tiles of 64 latent pixels (512 x 512 pixels in the published models) that share 16.
    fn default() -> Self {
        Self { size: 64, overlap: 16 }
    }
}

impl Tiling {
    /// Tiles of at most `size` latent pixels along each side, with an overlap of at least `overlap` latent pixels.
    ///
    /// # Errors
    /// [`TilingError`] when `size` is 0, or `overlap` is more than half of it.
    pub fn new(size: usize, overlap: usize) -> Result<Self, TilingError> {
        if size == 0 || overlap > size / 2 {
            return Err(TilingError { size, overlap });
        }
        Ok(Self { size, overlap })
    }

    /// The largest number of latent pixels along a side of a tile.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The smallest number of latent pixels that neighbours share.
    pub fn overlap(&self) -> usize {
        self.overlap
    }

    /// The tiles along a side of `length` latent pixels, in order.
    fn along(self, length: usize) -> Vec<Range<usize>> {
        let count = match length {
            length if length <= self.size => 1,
            length => (length - self.overlap).div_ceil(self.size - self.overlap),
        };
        let side = (length + (count - 1) * self.overlap).div_ceil(count);
        let start = |index: usize| index * (length - side) / (count - 1).max(1);
        (0..count).map(|index| start(index)..start(index) + side).collect()
    }
}

impl AutoencoderKl {
    /// [`AutoencoderKl::decode`] in tiles: peak memory is that of one tile and the image.
    ///
    /// An image that fits one tile is decoded without tiling and is bit for bit the same. In a larger image every tile has its
    /// own norm statistics and attention, so the result differs slightly everywhere; neighbours fade into one another where
    /// they overlap.
    ///
    /// # Shapes
    /// - `z`: `[batch, latent_channels, rows, columns]`, not scaled
    /// - result: `[batch, channels, rows * factor, columns * factor]`, in the type of `z`
    ///
    /// `progress` is called after every tile with the number of finished tiles and of all tiles.
    pub fn decode_tiled(
        &self,
        z: Tensor<4>,
        tiling: Tiling,
        mut progress: impl FnMut(usize, usize),
    ) -> Tensor<4> {
        let [batch, latent, height, width] = z.dims();
        let (rows, columns) = (tiling.along(height), tiling.along(width));
        let all = rows.len() * columns.len();
        if all == 1 {
            let image = self.decode(z);
            progress(1, 1);
            return image;
        }
        let (factor, channels) = (self.config().factor(), self.config().out_channels);
        let (device, dtype) = (z.device(), z.dtype());
        let shape = [batch, channels, height * factor, width * factor];
        let mut image = Tensor::zeros(shape, (&device, DType::F32));
        let (down, across) = (shares(&rows, factor), shares(&columns, factor));
        for (i, (row, down)) in rows.iter().zip(&down).enumerate() {
            for (j, (column, across)) in columns.iter().zip(&across).enumerate() {
                let tile = z.clone().slice([0..batch, 0..latent, row.clone(), column.clone()]);
                let weigh = |share: &[f32], shape: [usize; 4]| {
                    Tensor::<4>::from_data(TensorData::new(share.to_vec(), shape), (&device, DType::F32))
                };
                let tile = self.decode(tile).cast(DType::F32)
                    * weigh(down, [1, 1, down.len(), 1])
                    * weigh(across, [1, 1, 1, across.len()]);
                let place = [0..batch, 0..channels, scaled(row, factor), scaled(column, factor)];
                let sum = image.clone().slice(place.clone()) + tile;
                image = image.slice_assign(place, sum);
                progress(i * columns.len() + j + 1, all);
            }
        }
        image.cast(dtype)
    }
}

fn scaled(range: &Range<usize>, factor: usize) -> Range<usize> {
    range.start * factor..range.end * factor
}

/// The blending weight of each tile at each of its pixels along one side. The weights of a pixel add up to one; where two
/// tiles overlap they change linearly.
fn shares(tiles: &[Range<usize>], factor: usize) -> Vec<Vec<f32>> {
    let tiles: Vec<Range<usize>> = tiles.iter().map(|tile| scaled(tile, factor)).collect();
    let last = tiles.len() - 1;
    // The distance of a pixel's centre to the end of its tile, no larger than the overlap there.
    let height = |index: usize, pixel: usize| {
        let (tile, at) = (&tiles[index], pixel as f32 + 0.5);
        let rising = match index {
            0 => f32::INFINITY,
            _ => (at - tile.start as f32) / (tiles[index - 1].end - tile.start).max(1) as f32,
        };
        let falling = match index {
            _ if index == last => f32::INFINITY,
            _ => (tile.end as f32 - at) / (tile.end - tiles[index + 1].start).max(1) as f32,
        };
        rising.min(falling).min(1.0)
    };
    let covers = |index: usize, pixel: usize| tiles[index].contains(&pixel);
    tiles
        .iter()
        .enumerate()
        .map(|(index, tile)| {
            tile.clone()
                .map(|pixel| {
                    let all: f32 = (0..tiles.len())
                        .filter(|other| covers(*other, pixel))
                        .map(|other| height(other, pixel))
                        .sum();
                    height(index, pixel) / all
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_a_side_and_overlap() {
        for (size, overlap) in [(64, 16), (8, 4), (7, 0), (5, 2), (1, 0)] {
            let tiling = Tiling::new(size, overlap).unwrap();
            for length in 1..200 {
                let tiles = tiling.along(length);
                assert_eq!((tiles[0].start, tiles[tiles.len() - 1].end), (0, length));
                for tile in &tiles {
                    assert!(tile.len() <= size && tile.len() == tiles[0].len(), "{length}: {tiles:?}");
                }
                for pair in tiles.windows(2) {
                    assert!(pair[0].end >= pair[1].start + overlap, "{length}: {tiles:?}");
                }
                for (pixel, sum) in sums(&tiles, 2, 2 * length).into_iter().enumerate() {
                    assert!((sum - 1.0).abs() < 1e-5, "{length}, {pixel}: {sum}");
                }
            }
        }
    }

    fn sums(tiles: &[Range<usize>], factor: usize, length: usize) -> Vec<f32> {
        let mut sums = vec![0.0; length];
        for (tile, share) in tiles.iter().zip(shares(tiles, factor)) {
            assert!(share.iter().all(|share| (0.0..=1.0).contains(share)));
            for (pixel, share) in scaled(tile, factor).zip(share) {
                sums[pixel] += share;
            }
        }
        sums
    }

    #[test]
    fn a_image_of_1024_pixels_is_nine_small_tiles() {
        let tiles = Tiling::default().along(128);
        assert_eq!(tiles, [0..54, 37..91, 74..128]);
        assert_eq!(Tiling::default().along(64).len(), 1);
    }

    #[test]
    fn overlaps_fade_in_a_line() {
        let found = shares(&[0..4, 2..6], 2);
        assert_eq!(found[0], [1.0, 1.0, 1.0, 1.0, 0.875, 0.625, 0.375, 0.125]);
        assert_eq!(found[1], [0.125, 0.375, 0.625, 0.875, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        assert_eq!(Tiling::new(0, 0), Err(TilingError { size: 0, overlap: 0 }));
        let error = Tiling::new(8, 5).unwrap_err().to_string();
        assert!(error.starts_with("tiles of 8 latent pixels cannot overlap by 5"), "{error}");
    }
}
