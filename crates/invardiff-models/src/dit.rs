//! The diffusion transformer of Peebles and Xie (2022); its one forward calls an executor at every cacheable value.

mod block;
mod build;
mod config;
mod embed;
mod head;
mod labels;
mod named;
mod random;
mod topology;

pub use block::{Attention, DitBlock};
pub use config::{DitConfig, NoiseName};
pub use embed::PatchEmbed;
pub use head::FinalLayer;
pub use labels::LabelError;

pub(crate) use embed::position_table;
pub(crate) use named::heads_of_width;

use burn::module::{Module, Param};
use burn::tensor::activation::silu;
use burn::tensor::{DType, Int, Tensor};
use invardiff_runtime::{Block, BlockAction, Denoiser, Executor, Site, Topology};

use crate::ConfigError;
use crate::nn::TimestepEmbedder;

/// A class-conditional diffusion transformer.
///
/// Made by [`Dit::load`], [`Dit::from_bytes`] or [`Dit::random`].
#[derive(Module, Debug)]
pub struct Dit {
    /// Embeds patches as tokens.
    pub x_embedder: PatchEmbed,
    /// Position embeddings, `[1, tokens, dim]`.
    pub pos_embed: Param<Tensor<3>>,
    /// Embeds timesteps.
    pub t_embedder: TimestepEmbedder,
    /// One row per class, the null class last: `[num_classes + 1, dim]`.
    pub y_embedder: Param<Tensor<2>>,
    /// The transformer blocks.
    pub blocks: Vec<DitBlock>,
    /// From tokens back to patches, outside the trunk.
    pub final_layer: FinalLayer,
    #[module(skip)]
    config: DitConfig,
}

impl Dit {
    /// Returns the raw output: the prediction, followed by as many channels for the variance if the model has learned sigma.
    ///
    /// The trunk (patch embedding and blocks) is itself a site that contains the sites of the blocks. When it is recalled,
    /// `x` is ignored and only the final layer runs, with the conditioning of the current step.
    ///
    /// # Shapes
    /// - `x`: `[batch, in_channels, input_size, input_size]`
    /// - `t`: `[batch]`, training timesteps
    /// - `y`: `[batch]`, class indices, or `num_classes` for the null class ([`Dit::labels`] checks them)
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
                match exec.before_block(place, || [x.clone()], || block.modulated_input(x.clone(), c.clone()))
                {
                    BlockAction::Compute => block.forward(exec, layer, x, c.clone()),
                    BlockAction::Skip => x,
                    BlockAction::Replace([x]) => x,
                }
            })]
        });
        self.final_layer.forward(x, c)
    }

    /// Looks up the embeddings of class indices.
    ///
    /// # Shapes
    /// - `y`: `[batch]`
    /// - result: `[batch, dim]`
    pub fn embed_labels(&self, y: Tensor<1, Int>) -> Tensor<2> {
        self.y_embedder.val().select(0, y)
    }

    /// The same model with names of its classes.
    ///
    /// # Errors
    /// [`ConfigError::Field`] unless there is one for each class.
    pub fn with_class_names(mut self, names: Vec<String>) -> Result<Self, ConfigError> {
        self.config.class_names = names;
        self.config.validate()?;
        Ok(self)
    }

    /// The model's sizes and training settings.
    pub fn config(&self) -> &DitConfig {
        &self.config
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.y_embedder.dtype()
    }
}

impl Denoiser<4> for Dit {
    /// Class indices, one per sample of the batch.
    type Cond = Tensor<1, Int>;

    fn topology(&self) -> Topology {
        self.config.topology()
    }

    /// Returns the prediction without the variance channels.
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
