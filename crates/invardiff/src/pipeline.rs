//! What commands and comparisons need of a pipeline, whatever it is asked by: one trait for each role, and one for all of them.

mod caching;
mod calibrating;
mod facts;
mod options;
mod resampling;
mod sampling;

use burn::tensor::Tensor;
use ndarray::Array4;

use crate::error::{Error, Result};

pub use caching::Caching;
pub use calibrating::Calibrating;
pub use facts::{ModelFacts, Subjects};
pub use options::SamplingOptions;
pub use resampling::Resampling;
pub use sampling::Sampling;

/// From a subject (a class, a prompt) to an image, cached by a plan or not: all roles of a model that was opened.
///
/// A pipeline is a value: [`Caching::enable_cache`] changes what it replays and nothing else, and two clones draw at the
/// same time without touching each other. A function that needs one role takes that trait: [`Caching`] to draw,
/// [`Calibrating`] to measure, [`Resampling`] for other samplers, [`ModelFacts`] and [`Subjects`] to describe.
pub trait Pipeline<const D: usize>:
    Caching<D> + Calibrating<D> + Resampling<D> + Clone + Send + Sync
{
}

impl<const D: usize, P> Pipeline<D> for P where
    P: Caching<D> + Calibrating<D> + Resampling<D> + Clone + Send + Sync
{
}

/// A tensor on the host.
///
/// # Errors
/// When the device fails.
pub fn to_array(x: Tensor<4>) -> Result<Array4<f32>> {
    let shape = x.dims();
    let values: Vec<f32> = x
        .into_data()
        .convert::<f32>()
        .try_to_vec()
        .map_err(|error| Error::device("reading a tensor back", error))?;
    Array4::from_shape_vec(shape, values).map_err(Error::shape)
}
