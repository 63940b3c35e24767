//! Where a weight is stored.

use crate::dit::DitConfig;

/// Where a weight of the model is stored in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// One tensor.
    Key(String),
    /// Several tensors, concatenated along the first axis.
    Rows(Vec<String>),
    /// Equal copies of one tensor.
    Copies(Vec<String>),
    /// A slice of one tensor along an axis: as long as the weight, from `start`; the tensor is `whole` long.
    Part {
        /// The tensor.
        key: String,
        /// The axis of the slice.
        axis: usize,
        /// The first index of the slice.
        start: usize,
        /// The tensor's length along the axis.
        whole: usize,
    },
    /// One tensor with the first and second half of its rows exchanged.
    Swapped(String),
    /// A matrix that is stored as a 1 x 1 convolution.
    Pointwise(String),
    /// The position table of a DiT of these sizes, which is not in the file: computed when it is read.
    Positions(Box<DitConfig>),
}
