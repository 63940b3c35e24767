//! Layer norm without learned parameters.

use burn::module::Module;
use burn::tensor::module::layer_norm;
use burn::tensor::{DType, Device, Tensor};

/// Layer norm over the channels, without learned scale or shift.
#[derive(Module, Debug)]
pub struct Norm {
    ones: Tensor<1>,
    #[module(skip)]
    epsilon: f64,
}

impl Norm {
    pub(crate) fn new(dim: usize, epsilon: f64, device: &Device) -> Self {
        Self { ones: Tensor::ones([dim], (device, DType::F32)), epsilon }
    }

    /// Computes in f32 whatever the type of `x`: squares of large values overflow in f16.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        layer_norm(x.cast(DType::F32), self.ones.clone(), None, self.epsilon).cast(dtype)
    }
}
