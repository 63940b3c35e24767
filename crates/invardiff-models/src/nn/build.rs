//! Builds models from named weights of any source.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use crate::config::ConfigError;

/// A model that is built from a configuration and named weights. Its names are spelled once, in [`Build::build`]: checking
/// a file, reading it and drawing random weights all build the model, each from another kind of [`Weights`].
pub(crate) trait Build: Sized {
    /// The model's sizes.
    type Config: Sizes;

    /// Builds the model of a valid configuration.
    fn build<W: Weights>(config: &Self::Config, weights: &mut W, device: &Device) -> Result<Self, W::Error>;

    /// How the weight of this name and shape is drawn in a random model.
    fn init(config: &Self::Config, key: &str, shape: &[usize]) -> Init;
}

/// The distribution of a random weight.
pub(crate) enum Init {
    /// Uniform values with this mean and standard deviation.
    Uniform {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        deviation: f32,
    },
    /// These values, whatever the seed.
    Values(Vec<f32>),
}

impl Init {
    /// Keeps activations at a scale of about one: variance `1 / fan_in` for matrices and convolutions, and 0.01 for vectors,
    /// about zero for biases and about one for the scales of norms.
    pub(crate) fn usual(shape: &[usize], is_norm: bool) -> Self {
        let fan_in: usize = shape[1..].iter().product();
        let (mean, deviation) = match shape.len() {
            1 => (if is_norm { 1.0 } else { 0.0 }, 0.1),
            _ => (0.0, (fan_in as f32).sqrt().recip()),
        };
        Self::Uniform { mean, deviation }
    }
}

/// The sizes of a model.
pub(crate) trait Sizes: Clone {
    /// Returns [`ConfigError::Field`] when sizes do not fit together.
    fn validate(&self) -> Result<(), ConfigError>;

    /// The model's name, for errors.
    fn name(&self) -> String;
}

/// A source of weights by name and shape: a file, a random generator, or a check that every name is there.
pub(crate) trait Weights {
    /// Why a weight cannot be given.
    type Error;

    /// The weight of this name and shape.
    fn tensor<const D: usize>(&mut self, key: &str, shape: [usize; D]) -> Result<Tensor<D>, Self::Error>;

    /// The linear layer of this name. Its weight stays in PyTorch's memory order, `[d_output, d_input]`, as a transposed view.
    fn linear(&mut self, key: &str, d_input: usize, d_output: usize) -> Result<Linear, Self::Error> {
        let weight = self.tensor(&format!("{key}.weight"), [d_output, d_input])?;
        self.linear_of(key, weight)
    }

    /// The linear layer of this name without bias, its weight as in [`Weights::linear`].
    fn matrix(&mut self, key: &str, d_input: usize, d_output: usize) -> Result<Linear, Self::Error> {
        let weight = self.tensor::<2>(&format!("{key}.weight"), [d_output, d_input])?;
        Ok(Linear { weight: Param::from_tensor(weight.transpose()), bias: None })
    }

    /// The linear layer of this name with a given weight `[d_output, d_input]`.
    fn linear_of(&mut self, key: &str, weight: Tensor<2>) -> Result<Linear, Self::Error> {
        let [d_output, _] = weight.dims();
        let bias = self.tensor(&format!("{key}.bias"), [d_output])?;
        Ok(Linear { weight: Param::from_tensor(weight.transpose()), bias: Some(Param::from_tensor(bias)) })
    }
}
