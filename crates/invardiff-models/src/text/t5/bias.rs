//! The bias that the distance of two tokens adds to their attention score.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

/// A learned bias per distance range and head, shared by all blocks (T5, section 2.1).
#[derive(Module, Debug)]
pub struct PositionBias {
    /// One row per distance range, `[buckets, heads]`. The first half is for keys at or before the query, the second half for
    /// keys after it.
    pub table: Param<Tensor<2>>,
    #[module(skip)]
    pub(super) max_distance: usize,
}

impl PositionBias {
    /// # Shapes
    /// - result: `[1, heads, tokens, tokens]`, indexed by (query, key)
    pub fn forward(&self, tokens: usize) -> Tensor<4> {
        let table = self.table.val();
        let ([buckets, heads], device) = (table.dims(), table.device());
        let count = tokens.cast_signed() as i64;
        let rows: Vec<i32> = (1 - count..count)
            .map(|offset| bucket(offset, buckets / 2, self.max_distance).cast_signed() as i32)
            .collect();
        // The row of offset 0 is in the middle.
        let rows: Vec<i32> = (0..tokens)
            .flat_map(|query| &rows[tokens - 1 - query..2 * tokens - 1 - query])
            .copied()
            .collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [tokens * tokens]), &device);
        table.transpose().select(1, rows).reshape([1, heads, tokens, tokens])
    }
}

/// The row for a key `offset` tokens after its query, with `buckets` rows per direction: the first half has one row per
/// distance, the second half has ranges that grow logarithmically up to `max_distance`. In f32, as the reference rounds.
fn bucket(offset: i64, buckets: usize, max_distance: usize) -> usize {
    let direction = if offset > 0 { buckets } else { 0 };
    let (distance, exact) = (offset.unsigned_abs() as usize, buckets / 2);
    if distance < exact {
        return direction + distance;
    }
    let octaves = (distance as f32 / exact as f32).ln() / (max_distance as f64 / exact as f64).ln() as f32;
    let beyond = (octaves * (buckets - exact) as f32) as usize;
    direction + (exact + beyond).min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of T5's own settings: 32 rows, distances up to 128.
    #[test]
    fn rows_of_distances() {
        let row = |offset| bucket(offset, 16, 128);
        assert_eq!(
            [0, -1, -7, -8, -11, -12, -16, -23, -32, -64, -91, -128, -4000].map(row),
            [0, 1, 7, 8, 8, 9, 10, 11, 12, 14, 15, 15, 15]
        );
        assert_eq!([1, 7, 8, 16, 32, 4000].map(row), [17, 23, 24, 26, 28, 31]);
        for offset in 1..300 {
            assert_eq!(row(offset), row(-offset) + 16, "one direction is the other, 16 rows on");
            assert!(row(-offset) >= row(1 - offset), "no row comes back");
        }
    }
}
