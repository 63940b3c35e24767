//! The sizes of a CLIP text model without a configuration.

use super::Shapes;
use crate::ClipConfig;
use crate::load::checkpoint::Checkpoint;
use crate::load::error::LoadError;

/// The published sizes where the shapes are those.
pub(crate) fn infer(checkpoint: &Checkpoint) -> Result<ClipConfig, LoadError> {
    let (shapes, published) = (Shapes { checkpoint }, ClipConfig::vit_l_14());
    let table = checkpoint.shape("embeddings.token_embedding.weight");
    if table == Some(&[published.vocab_size, published.hidden_size])
        && shapes.layers("encoder.layers.") == published.num_hidden_layers
    {
        return Ok(published);
    }
    Err(shapes.refuse("the shapes of the weights do not tell all sizes of a CLIP text model"))
}
