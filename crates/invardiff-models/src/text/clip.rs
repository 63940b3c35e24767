//! The text model of CLIP (Radford et al. 2021).

mod block;
mod build;
mod config;

pub use block::{ClipAttention, ClipBlock, ClipMlp, ClipNorm};
pub use config::{ClipActivation, ClipConfig};

use burn::module::{Module, Param};
use burn::tensor::module::embedding;
use burn::tensor::{DType, Int, Tensor};

use super::ids::{self, IdsError};

/// A CLIP text model: a transformer with causal attention.
///
/// Made by [`ClipText::load`], [`ClipText::from_bytes`] or [`ClipText::random`].
#[derive(Module, Debug)]
pub struct ClipText {
    /// One row per token, `[vocab_size, hidden_size]`.
    pub token_embedding: Param<Tensor<2>>,
    /// One row per position, `[max_position_embeddings, hidden_size]`.
    pub position_embedding: Param<Tensor<2>>,
    /// The blocks.
    pub blocks: Vec<ClipBlock>,
    /// The norm after the last block.
    pub final_norm: ClipNorm,
    #[module(skip)]
    config: ClipConfig,
}

/// The output of a CLIP text model.
#[derive(Clone, Debug)]
pub struct ClipOutput {
    /// The hidden state of every token after the last norm, `[batch, tokens, hidden_size]`.
    pub hidden: Tensor<3>,
    /// The hidden state of the token that ends the prompt, `[batch, hidden_size]`.
    pub pooled: Tensor<2>,
}

impl ClipText {
    /// Encodes prompts.
    ///
    /// # Shapes
    /// - `ids`: `[batch, tokens]`, each below `vocab_size`, at most `max_position_embeddings` per row; made by
    ///   [`ClipText::ids`]
    pub fn forward(&self, ids: Tensor<2, Int>) -> ClipOutput {
        self.forward_with(ids, |_, _| {})
    }

    /// [`ClipText::forward`] that also calls `see` before every block and after the last one, with the hidden state and the
    /// number of blocks that ran before it.
    ///
    /// # Shapes
    /// - the hidden state: `[batch, tokens, hidden_size]`
    pub fn forward_with(&self, ids: Tensor<2, Int>, mut see: impl FnMut(usize, &Tensor<3>)) -> ClipOutput {
        let [_, tokens] = ids.dims();
        let positions = self.position_embedding.val().narrow(0, 0, tokens);
        let mut x = embedding(self.token_embedding.val(), ids.clone()) + positions.unsqueeze();
        for (index, block) in self.blocks.iter().enumerate() {
            see(index, &x);
            x = block.forward(x);
        }
        see(self.blocks.len(), &x);
        let hidden = self.final_norm.forward(x);
        let pooled = self.pool(hidden.clone(), ids);
        ClipOutput { hidden, pooled }
    }

    /// The hidden state of the token that ends each prompt, found as in the reference: the first token with the id of the end
    /// token; if that id is 2 (a mistake of older configurations), the first token with the highest id. Without an end token it is
    /// the first token of the row.
    ///
    /// # Shapes
    /// - `hidden`: `[batch, tokens, hidden_size]`
    /// - `ids`: `[batch, tokens]`
    /// - result: `[batch, hidden_size]`
    fn pool(&self, hidden: Tensor<3>, ids: Tensor<2, Int>) -> Tensor<2> {
        let [batch, tokens, channels] = hidden.dims();
        let count = tokens.cast_signed() as i64;
        let ends = match self.config.eos_token_id {
            2 => ids.clone().equal(ids.max_dim(1)),
            id => ids.equal_elem(id),
        };
        // From the end of the row, so that the first end has the largest number.
        let from_end = Tensor::<1, Int>::arange(0..count, &hidden.device()).neg() + count;
        let first = (ends.int() * from_end.unsqueeze()).max_dim(1);
        // No end at all gives 0, which is as far from the end as the first token is.
        let first = (first.neg() + count).remainder_scalar(count);
        let places = first.reshape([batch, 1, 1]).expand([batch, 1, channels]);
        hidden.gather(1, places).reshape([batch, channels])
    }

    /// Token ids of equally long prompts as a batch.
    ///
    /// # Shapes
    /// - result: `[rows, tokens]`
    ///
    /// # Errors
    /// [`IdsError`] for empty input, rows of different lengths, more tokens than positions, and ids outside the vocabulary.
    pub fn ids(&self, rows: &[&[u32]]) -> Result<Tensor<2, Int>, IdsError> {
        let (vocabulary, positions) = (self.config.vocab_size, self.config.max_position_embeddings);
        ids::tensor(rows, vocabulary, Some(positions), &self.token_embedding.val().device())
    }

    /// The model's sizes.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.token_embedding.dtype()
    }
}
