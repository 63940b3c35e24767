//! The text encoders of FLUX and their tokenizers.
//!
//! [`T5Encoder`] returns one vector per token of a prompt, [`ClipText`] one vector per prompt; [`T5Tokenizer`] and
//! [`ClipTokenizer`] make the tokens. They run once per image, so nothing is cached and they take no executor.
//!
//! ```no_run
//! use burn::tensor::{DType, Device};
//! use invardiff_models::{T5Encoder, T5Tokenizer};
//!
//! let device = Device::flex();
//! let prompt = T5Tokenizer::load("FLUX.1-dev/tokenizer_2", 512)?.encode("a red panda")?;
//! let t5 = T5Encoder::load_as("FLUX.1-dev/text_encoder_2", DType::BF16, &device)?;
//! let embeddings = t5.forward(t5.ids(&[&prompt.ids])?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clip;
mod ids;
mod t5;
mod tokenizer;

pub use clip::{
    ClipActivation, ClipAttention, ClipBlock, ClipConfig, ClipMlp, ClipNorm, ClipOutput, ClipText,
};
pub use ids::IdsError;
pub use t5::{PositionBias, T5Activation, T5Attention, T5Block, T5Config, T5Encoder, T5FeedForward, T5Norm};
pub use tokenizer::{ClipTokenizer, Encoded, T5Tokenizer, TokenizerError};
