//! The network.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{Linear, Module};

use crate::weights::{drawn, linear};

/// Channels of a latent.
pub const CHANNELS: usize = 4;
/// Classes, the null class being one more.
pub const CLASSES: usize = 1000;
const FREQUENCIES: usize = 256;

/// A class-conditional diffusion transformer.
pub struct Dit {
    patch: usize,
    grid: usize,
    patches: Linear,
    positions: Tensor,
    time: [Linear; 2],
    classes: Tensor,
    blocks: Vec<Block>,
    out_modulation: Linear,
    out: Linear,
}

impl Dit {
    /// A model with weights that follow from their names.
    pub fn new(depth: usize, width: usize, heads: usize, patch: usize, side: usize) -> Result<Self> {
        let inputs = CHANNELS * patch * patch;
        let kernel = drawn("x_embedder.proj.weight", &[width, CHANNELS, patch, patch])?;
        let bias = drawn("x_embedder.proj.bias", &[width])?;
        Ok(Self {
            patch,
            grid: side / patch,
            patches: Linear::new(kernel.reshape((width, inputs))?, Some(bias)),
            positions: positions(side / patch, width)?,
            time: [
                linear("t_embedder.mlp.0", FREQUENCIES, width)?,
                linear("t_embedder.mlp.2", width, width)?,
            ],
            classes: drawn("y_embedder.embedding_table.weight", &[CLASSES + 1, width])?,
            blocks: (0..depth).map(|layer| Block::new(layer, width, heads)).collect::<Result<_>>()?,
            out_modulation: linear("final_layer.adaLN_modulation.1", width, 2 * width)?,
            out: linear("final_layer.linear", width, patch * patch * 2 * CHANNELS)?,
        })
    }

    /// The prediction and its variance, `[batch, 8, side, side]`.
    pub fn forward(&self, x: &Tensor, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let (batch, p, grid) = (x.dim(0)?, self.patch, self.grid);
        let time = self.time[1].forward(&self.time[0].forward(&frequencies(t)?)?.silu()?)?;
        let c = (time + self.classes.index_select(y, 0)?)?.silu()?;
        let patches = x
            .reshape((batch, CHANNELS, grid, p, grid, p))?
            .permute((0, 2, 4, 1, 3, 5))?
            .reshape((batch, grid * grid, CHANNELS * p * p))?;
        let mut x = self.patches.forward(&patches)?.broadcast_add(&self.positions)?;
        for block in &self.blocks {
            x = block.forward(&x, &c)?;
        }
        let modulation = self.out_modulation.forward(&c)?.unsqueeze(1)?.chunk(2, D::Minus1)?;
        let x = self.out.forward(&modulated(&x, &modulation[0], &modulation[1])?)?;
        x.reshape(vec![batch, grid, grid, p, p, 2 * CHANNELS])?
            .permute(vec![0, 5, 1, 3, 2, 4])?
            .reshape((batch, 2 * CHANNELS, grid * p, grid * p))
    }
}

struct Block {
    heads: usize,
    qkv: Linear,
    proj: Linear,
    fc1: Linear,
    fc2: Linear,
    modulation: Linear,
}

impl Block {
    fn new(layer: usize, width: usize, heads: usize) -> Result<Self> {
        let named = |name: &str, from, to| linear(&format!("blocks.{layer}.{name}"), from, to);
        Ok(Self {
            heads,
            qkv: named("attn.qkv", width, 3 * width)?,
            proj: named("attn.proj", width, width)?,
            fc1: named("mlp.fc1", width, 4 * width)?,
            fc2: named("mlp.fc2", 4 * width, width)?,
            modulation: named("adaLN_modulation.1", width, 6 * width)?,
        })
    }

    fn forward(&self, x: &Tensor, c: &Tensor) -> Result<Tensor> {
        let m = self.modulation.forward(c)?.unsqueeze(1)?.chunk(6, D::Minus1)?;
        let mixed = self.attention(&modulated(x, &m[0], &m[1])?)?;
        let x = (x + mixed.broadcast_mul(&m[2])?)?;
        let wide = self.fc1.forward(&modulated(&x, &m[3], &m[4])?)?.gelu()?;
        &x + self.fc2.forward(&wide)?.broadcast_mul(&m[5])?
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        let depth = width / self.heads;
        let qkv = self.qkv.forward(x)?.reshape((batch, tokens, 3, self.heads, depth))?;
        let part = |i| qkv.narrow(2, i, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (q, k, v): (Tensor, Tensor, Tensor) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?)? * (depth as f64).sqrt().recip())?;
        let mixed = softmax_last_dim(&scores)?.matmul(&v)?;
        self.proj.forward(&mixed.transpose(1, 2)?.reshape((batch, tokens, width))?)
    }
}

/// Layer norm without learned scale and shift, then `x (1 + scale) + shift`.
fn modulated(x: &Tensor, shift: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    let (ones, zeros) = (Tensor::ones(width, x.dtype(), x.device())?, Tensor::zeros(width, x.dtype(), x.device())?);
    let normed = candle_nn::ops::layer_norm(x, &ones, &zeros, 1e-6)?;
    normed.broadcast_mul(&(scale + 1.0)?)?.broadcast_add(shift)
}

/// Cosines, then sines, of the times.
fn frequencies(t: &Tensor) -> Result<Tensor> {
    let half = FREQUENCIES / 2;
    let rates: Vec<f32> = (0..half).map(|i| (-(10_000f32.ln()) * i as f32 / half as f32).exp()).collect();
    let angles = t.unsqueeze(1)?.broadcast_mul(&Tensor::new(rates, t.device())?.unsqueeze(0)?)?;
    Tensor::cat(&[angles.cos()?, angles.sin()?], 1)
}

fn positions(grid: usize, width: usize) -> Result<Tensor> {
    let quarter = width / 4;
    let omega: Vec<f64> = (0..quarter).map(|i| 10_000f64.powf(-(i as f64) / quarter as f64)).collect();
    let mut values = Vec::with_capacity(grid * grid * width);
    for place in 0..grid * grid {
        for position in [place % grid, place / grid].map(|position| position as f64) {
            values.extend(omega.iter().map(|omega| (position * omega).sin() as f32));
            values.extend(omega.iter().map(|omega| (position * omega).cos() as f32));
        }
    }
    Tensor::from_vec(values, (1, grid * grid, width), &Device::Cpu)
}
