//! A configuration read off the shapes of a DiT's weights.

use crate::DitConfig;
use crate::dit::heads_of_width;
use crate::load::checkpoint::Checkpoint;
use crate::load::error::LoadError;
use crate::load::layout::KeyLayout;

use super::Shapes;

/// The configuration of weights that come without one. The shapes determine everything but the number of heads, which is that of
/// the published size with this width.
pub(crate) fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<DitConfig, LoadError> {
    let shapes = Shapes { checkpoint };
    match layout {
        KeyLayout::Original | KeyLayout::LlamaCpp => {}
        KeyLayout::Diffusers => {
            return Err(
                shapes.refuse("diffusers' layout does not store positions, so the sample's size is unknown")
            );
        }
    }
    let [hidden_size, in_channels, patch_size, _] = shapes.of("x_embedder.proj.weight")?;
    let [_, tokens, _] = shapes.of("pos_embed")?;
    let grid = tokens.isqrt();
    if grid * grid != tokens {
        return Err(shapes.refuse(&format!("'pos_embed' has {tokens} tokens, which make no square")));
    }
    let Some(num_heads) = heads_of_width(hidden_size) else {
        return Err(shapes.refuse(&format!(
            "no published DiT is {hidden_size} channels wide, so the number of heads is unknown"
        )));
    };
    let [mlp_hidden, _] = shapes.of("blocks.0.mlp.fc1.weight")?;
    let [rows, _] = shapes.of("y_embedder.embedding_table.weight")?;
    let [patch_out, _] = shapes.of("final_layer.linear.weight")?;
    let mut config = DitConfig {
        input_size: grid.saturating_mul(patch_size),
        patch_size,
        in_channels,
        hidden_size,
        depth: shapes.layers("blocks."),
        num_heads,
        mlp_ratio: mlp_hidden as f64 / hidden_size as f64,
        num_classes: rows.saturating_sub(1),
        ..DitConfig::default()
    };
    config.learn_sigma = patch_out != config.patch_elements();
    config.validate().map_err(|source| LoadError::Config { file: checkpoint.file.clone(), source })?;
    Ok(config)
}
