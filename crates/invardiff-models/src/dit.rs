//! The diffusion transformer of Peebles and Xie (2022), with the seam in its one forward.

mod block;
mod build;
mod config;
mod embed;
mod head;
mod labels;
mod named;
mod random;
mod topology;

pub use block::{Attention, DitBlock, Mlp, Norm};
pub use config::{ConfigError, DitConfig, NoiseName, Numerics};
pub use embed::{PatchEmbed, TimestepEmbedder};
pub use head::FinalLayer;
pub use labels::LabelError;

pub(crate) use block::{chunks, gelu_tanh, modulate, project};
pub(crate) use build::Weights;
pub(crate) use config::require;
pub(crate) use embed::{FREQUENCY_CHANNELS, frequencies, position_table};
pub(crate) use named::heads_of_width;
pub(crate) use random::uniform;

use burn::module::{Module, Param};
use burn::tensor::activation::silu;
use burn::tensor::{DType, Int, Tensor};
use invardiff_runtime::{Block, Denoiser, Executor, Passage, Site, Topology};

/// A class-conditional diffusion transformer.
///
/// Made by [`Dit::load`], [`Dit::from_bytes`] or [`Dit::random`].
#[derive(Module, Debug)]
pub struct Dit {
    /// Patches to tokens.
    pub x_embedder: PatchEmbed,
    /// Positions, `[1, tokens, dim]`.
    pub pos_embed: Param<Tensor<3>>,
    /// Timesteps to vectors.
    pub t_embedder: TimestepEmbedder,
    /// One row a class, the null class last: `[num_classes + 1, dim]`.
    pub y_embedder: Param<Tensor<2>>,
    /// The blocks.
    pub blocks: Vec<DitBlock>,
    /// Tokens to patches.
    pub final_layer: FinalLayer,
    #[module(skip)]
    config: DitConfig,
}

impl Dit {
    /// The raw output: the prediction, and with learned sigma as many channels again for the variance.
    ///
    /// The trunk (patch embedding and blocks) is one site around those of the blocks. When it is recalled, the current
    /// sample is not looked at and only the final layer runs, with the step's own conditioning.
    ///
    /// # Shapes
    /// - `x`: `[batch, in_channels, input_size, input_size]`
    /// - `t`: `[batch]`, training timesteps
    /// - `y`: `[batch]`, class indices, `num_classes` for none ([`Dit::labels`] checks them)
    /// - result: `[batch, out_channels, input_size, input_size]`
    pub fn forward<E: Executor>(
        &self,
        exec: &mut E,
        x: Tensor<4>,
        t: Tensor<1>,
        y: Tensor<1, Int>,
    ) -> Tensor<4> {
        let c = silu(self.t_embedder.forward(t) + self.embed_labels(y));
        let [x] = exec.at(Site::TRUNK, |exec| {
            let x = self.x_embedder.forward(x) + self.pos_embed.val();
            let count = self.blocks.len();
            [(0..).zip(&self.blocks).fold(x, |x, (layer, block)| {
                let place = Block { index: layer as usize, count };
                match exec.before_block(place, || [x.clone()], || block.enter(x.clone(), c.clone())) {
                    Passage::Compute => block.forward(exec, layer, x, c.clone()),
                    Passage::Skip => x,
                    Passage::Replace([x]) => x,
                }
            })]
        });
        self.final_layer.forward(x, c)
    }

    /// The rows of the class table.
    ///
    /// # Shapes
    /// - `y`: `[batch]`
    /// - result: `[batch, dim]`
    pub fn embed_labels(&self, y: Tensor<1, Int>) -> Tensor<2> {
        self.y_embedder.val().select(0, y)
    }

    /// Sizes and training.
    pub fn config(&self) -> &DitConfig {
        &self.config
    }

    /// Element type of the weights.
    pub fn dtype(&self) -> DType {
        self.y_embedder.dtype()
    }
}

impl Denoiser<4> for Dit {
    /// Class indices of the batch.
    type Cond = Tensor<1, Int>;

    fn topology(&self) -> Topology {
        self.config.topology()
    }

    /// The prediction without the variance.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, in_channels, input_size, input_size]`
    /// - `cond`: `[batch]`
    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<4>, t: f32, cond: &Self::Cond) -> Tensor<4> {
        let ([batch, channels, ..], dtype) = (x.dims(), x.dtype());
        let t = Tensor::full([batch], t, (&x.device(), DType::F32));
        self.forward(exec, x.cast(self.dtype()), t, cond.clone()).narrow(1, 0, channels).cast(dtype)
    }
}
