//! The encoder of T5 (Raffel et al. 2020) in its version 1.1, whose feed-forward is gated (Shazeer 2020).

mod attention;
mod bias;
mod block;
mod build;
mod config;

pub use attention::T5Attention;
pub use bias::PositionBias;
pub use block::{T5Block, T5FeedForward, T5Norm};
pub use config::{T5Activation, T5Config};

use burn::module::{Module, Param};
use burn::tensor::module::embedding;
use burn::tensor::{DType, Int, Tensor};

use super::ids::{self, IdsError};

/// A T5 encoder. Every token attends to every other: like the reference in FLUX, it does not mask padding.
///
/// Made by [`T5Encoder::load`], [`T5Encoder::from_bytes`] or [`T5Encoder::random`].
#[derive(Module, Debug)]
pub struct T5Encoder {
    /// One row per token, `[vocab_size, d_model]`.
    pub shared: Param<Tensor<2>>,
    /// The bias that every block adds to its attention scores.
    pub position_bias: PositionBias,
    /// The blocks.
    pub blocks: Vec<T5Block>,
    /// The norm after the last block.
    pub final_norm: T5Norm,
    #[module(skip)]
    config: T5Config,
}

impl T5Encoder {
    /// Encodes prompts.
    ///
    /// # Shapes
    /// - `ids`: `[batch, tokens]`, each below `vocab_size`; made by [`T5Encoder::ids`]
    /// - result: `[batch, tokens, d_model]`, in the type of the weights
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.forward_with(ids, |_, _| {})
    }

    /// [`T5Encoder::forward`] that also calls `see` before every block, with the hidden state and the number of blocks that ran before it.
    ///
    /// # Shapes
    /// - the hidden state: `[batch, tokens, d_model]`
    pub fn forward_with(&self, ids: Tensor<2, Int>, mut see: impl FnMut(usize, &Tensor<3>)) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let bias = self.position_bias.forward(tokens);
        let mut x = embedding(self.shared.val(), ids);
        for (index, block) in self.blocks.iter().enumerate() {
            see(index, &x);
            x = block.forward(x, bias.clone());
        }
        self.final_norm.forward(x)
    }

    /// Token ids of equally long prompts as a batch.
    ///
    /// # Shapes
    /// - result: `[rows, tokens]`
    ///
    /// # Errors
    /// [`IdsError`] for empty input, rows of different lengths, and ids outside the vocabulary.
    pub fn ids(&self, rows: &[&[u32]]) -> Result<Tensor<2, Int>, IdsError> {
        ids::tensor(rows, self.config.vocab_size, None, &self.shared.val().device())
    }

    /// The model's sizes.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.shared.dtype()
    }
}
