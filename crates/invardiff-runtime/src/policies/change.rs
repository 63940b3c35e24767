//! The relative change of a tensor.

use burn::tensor::{DType, Tensor};

/// The relative change `mean |current - previous| / mean |previous|` of the batch row that changed most, in f32.
///
/// The maximum over rows is taken because one decision holds for the whole batch: for both halves of batched guidance, and
/// for all images. A zero `previous` gives infinity, or NaN where `current` is zero too.
///
/// # Shapes
/// - `previous`, `current`: `[batch, tokens, dim]`
/// - result: `[1]`, on the device
pub fn relative_change(previous: Tensor<3>, current: Tensor<3>) -> Tensor<1> {
    let previous = previous.cast(DType::F32);
    let change = current.cast(DType::F32) - previous.clone();
    // Over channels first, so that long sums keep their digits.
    let size = |x: Tensor<3>| x.abs().mean_dim(2).mean_dim(1);
    (size(change) / size(previous)).max()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn change(previous: [[f32; 4]; 2], current: [[f32; 4]; 2]) -> f32 {
        let tensor = |rows: [[f32; 4]; 2]| {
            Tensor::<1>::from_floats(rows.concat().as_slice(), &Device::flex()).reshape([2, 2, 2])
        };
        relative_change(tensor(previous), tensor(current)).into_scalar()
    }

    #[test]
    fn the_most_changed_row_counts() {
        let previous = [[1.0, -1.0, 2.0, 4.0], [10.0, 10.0, 10.0, 10.0]];
        let first = [[1.0, -2.0, 2.0, 3.0], previous[1]];
        assert_eq!(change(previous, first), 0.25);
        let both = [first[0], [0.0, 20.0, 10.0, 10.0]];
        assert_eq!(change(previous, both), 0.5);
    }

    /// A zero reference gives NaN; NaN never triggers a skip.
    #[test]
    fn a_change_from_nothing_to_nothing_is_no_number() {
        assert!(change([[0.0; 4]; 2], [[0.0; 4]; 2]).is_nan());
        assert_eq!(change([[0.0; 4], [1.0; 4]], [[1.0; 4], [1.0; 4]]), f32::INFINITY);
    }
}
