//! Token ids as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Why token ids do not fit a text model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdsError {
    /// No prompt, or prompts without tokens.
    #[error("there are no tokens to encode")]
    Empty,
    /// Prompts have different lengths.
    #[error("prompt {row} has {found} tokens, the first one {expected}: pad them to one length")]
    Length {
        /// Index of the first prompt with another length.
        row: usize,
        /// Number of its tokens.
        found: usize,
        /// Number of tokens of the first prompt.
        expected: usize,
    },
    /// More tokens than the model has positions.
    #[error("a prompt has {tokens} tokens, the model's positions end at {positions}")]
    TooLong {
        /// Number of tokens per prompt.
        tokens: usize,
        /// Number of the model's positions.
        positions: usize,
    },
    /// An id is outside the model's vocabulary.
    #[error(
        "token id {id} is outside of the model's vocabulary of {vocab_size}: tokenizer and model do not belong together"
    )]
    Vocabulary {
        /// The first such id.
        id: u32,
        /// Number of tokens in the vocabulary.
        vocab_size: usize,
    },
}

/// Token ids as a tensor.
///
/// # Shapes
/// - result: `[rows, tokens]`
pub(super) fn tensor(
    rows: &[&[u32]],
    vocab_size: usize,
    positions: Option<usize>,
    device: &Device,
) -> Result<Tensor<2, Int>, IdsError> {
    let tokens = rows.first().map_or(0, |row| row.len());
    if tokens == 0 {
        return Err(IdsError::Empty);
    }
    if let Some((row, other)) = rows.iter().enumerate().find(|(_, row)| row.len() != tokens) {
        return Err(IdsError::Length { row, found: other.len(), expected: tokens });
    }
    if let Some(positions) = positions.filter(|positions| tokens > *positions) {
        return Err(IdsError::TooLong { tokens, positions });
    }
    let ids = rows.concat();
    if let Some(id) = ids.iter().copied().find(|id| *id as usize >= vocab_size) {
        return Err(IdsError::Vocabulary { id, vocab_size });
    }
    let ids: Vec<i32> = ids.into_iter().map(u32::cast_signed).collect();
    Ok(Tensor::from_data(TensorData::new(ids, [rows.len(), tokens]), device))
}
