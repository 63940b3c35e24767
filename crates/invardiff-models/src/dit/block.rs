//! The transformer block with adaptive layer norm (adaLN-Zero, DiT paper section 3.2).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::module::{attention, layer_norm};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{DType, Device, Tensor};
use invardiff_runtime::{Executor, Site};

/// One block: attention and feed-forward, each normalised, modulated, gated and added.
#[derive(Module, Debug)]
pub struct DitBlock {
    /// The norm before attention.
    pub norm1: Norm,
    /// Self-attention.
    pub attn: Attention,
    /// The norm before the feed-forward.
    pub norm2: Norm,
    /// Feed-forward.
    pub mlp: Mlp,
    /// From the conditioning to the six modulations of the block.
    pub modulation: Linear,
}

impl DitBlock {
    /// Both module outputs are sites, taken before their gates: gates and modulations are fresh at every step.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    pub fn forward<E: Executor>(&self, exec: &mut E, layer: u32, x: Tensor<3>, c: Tensor<2>) -> Tensor<3> {
        let [shift_msa, scale_msa, gate_msa, shift_mlp, scale_mlp, gate_mlp] =
            chunks(self.modulation.forward(c));
        let [msa] = exec.at(Site::msa(layer), |_| {
            [self.attn.forward(modulate(self.norm1.forward(x.clone()), shift_msa, scale_msa))]
        });
        let x = x + msa * gate_msa;
        let [mlp] = exec.at(Site::mlp(layer), |_| {
            [self.mlp.forward(modulate(self.norm2.forward(x.clone()), shift_mlp, scale_mlp))]
        });
        x + mlp * gate_mlp
    }

    /// What the attention of this block sees: `x` after norm and modulation.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    pub fn enter(&self, x: Tensor<3>, c: Tensor<2>) -> Tensor<3> {
        let [shift, scale, ..]: [_; 6] = chunks(self.modulation.forward(c));
        modulate(self.norm1.forward(x), shift, scale)
    }
}

/// `x * (1 + scale) + shift`.
///
/// # Shapes
/// - `x`, result: `[batch, tokens, dim]`
/// - `shift`, `scale`: `[batch, 1, dim]`
pub(crate) fn modulate(x: Tensor<3>, shift: Tensor<3>, scale: Tensor<3>) -> Tensor<3> {
    x * (scale + 1.0) + shift
}

/// `[batch, N * dim]` as `N` tensors `[batch, 1, dim]`.
pub(crate) fn chunks<const N: usize>(x: Tensor<2>) -> [Tensor<3>; N] {
    let [batch, width] = x.dims();
    let x = x.reshape([batch, N, width / N]);
    std::array::from_fn(|i| x.clone().narrow(1, i, 1))
}

/// A linear map of every token, as one matrix product over the whole batch. (burn's batched form copies a transposed weight
/// at every call on the CPU.)
///
/// # Shapes
/// - `x`: `[batch, tokens, d_input]`
/// - result: `[batch, tokens, d_output]`
pub(crate) fn project(linear: &Linear, x: Tensor<3>) -> Tensor<3> {
    let [batch, tokens, d_input] = x.dims();
    let y = linear.forward(x.reshape([batch * tokens, d_input]));
    let [_, d_output] = y.dims();
    y.reshape([batch, tokens, d_output])
}

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

    /// In f32 whatever the type of `x` is: squares of large values have no place in f16.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        layer_norm(x.cast(DType::F32), self.ones.clone(), None, self.epsilon).cast(dtype)
    }
}

/// Multi-head self-attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries, keys and values in one map.
    pub qkv: Linear,
    /// The output map.
    pub proj: Linear,
    #[module(skip)]
    pub(crate) heads: usize,
}

impl Attention {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, dim] = x.dims();
        let qkv = project(&self.qkv, x)
            .reshape([batch, tokens, 3, self.heads, dim / self.heads])
            .permute([2, 0, 3, 1, 4]);
        let [q, k, v] = std::array::from_fn(|i| qkv.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
        let mixed = attention(q, k, v, None, None, AttentionModuleOptions::default());
        project(&self.proj, mixed.swap_dims(1, 2).reshape([batch, tokens, dim]))
    }
}

/// Feed-forward: two linear maps with a GELU between.
#[derive(Module, Debug)]
pub struct Mlp {
    /// To the wide layer.
    pub fc1: Linear,
    /// Back.
    pub fc2: Linear,
}

impl Mlp {
    /// # Shapes
    /// - `x`, result: `[batch, tokens, dim]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        project(&self.fc2, gelu_tanh(project(&self.fc1, x)))
    }
}

/// GELU in its tanh approximation, `0.5 x (1 + tanh z)` with `z = sqrt(2/pi) (x + 0.044715 x^3)`. As
/// `0.5 (1 + tanh z) = 1 / (1 + exp(-2 z))`, it is one exponential on the CPU in place of a slow tanh and a power. The
/// exponent is bounded where the result is below 1e-33: were the exponential infinite, its gradient would be no number.
pub(crate) fn gelu_tanh(x: Tensor<3>) -> Tensor<3> {
    /// `-2 sqrt(2/pi)`
    const SLOPE: f64 = -1.595_769_121_605_730_7;
    const LARGEST: f64 = 80.0;
    let exponent = (x.clone() * x.clone() * (SLOPE * 0.044_715) + SLOPE) * x.clone();
    x / (exponent.clamp_max(LARGEST).exp() + 1.0)
}
