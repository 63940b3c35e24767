//! Models from named weights, whatever they come from.

use burn::tensor::{DType, Device};

use crate::dit::Weights;

/// A model that is built from a configuration and named weights. The names are spelled once, here: building serves for
/// checking a file, reading it and drawing random weights.
pub(crate) trait Build: Sized {
    /// The model's sizes.
    type Config;

    /// Builds the model of a valid configuration.
    fn build<W: Weights>(
        config: &Self::Config,
        weights: &mut W,
        dtype: DType,
        device: &Device,
    ) -> Result<Self, W::Error>;
}
