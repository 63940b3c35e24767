//! The names of a CLIP text model's weights in files.

use crate::load::layout::KeyLayout;

/// A key that every model has. (Whole CLIP models keep the text model under `text_model`, which is a section.)
pub(crate) const SIGNATURES: [(KeyLayout, &str); 1] =
    [(KeyLayout::Diffusers, "encoder.layers.0.self_attn.q_proj.weight")];

/// Keys that are not weights of the text model: the position ids of older files, and the other parts of a whole CLIP model.
pub(crate) fn is_other(key: &str) -> bool {
    ["embeddings.position_ids", "text_projection.weight", "logit_scale", "visual_projection.weight"]
        .contains(&key)
        || key.starts_with("vision_model.")
}
