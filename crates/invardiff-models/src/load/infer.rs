//! A configuration read off the shapes of the weights.

use super::LoadError;
use super::checkpoint::Checkpoint;
use super::layout::KeyLayout;
use crate::DitConfig;
use crate::dit::heads_of_width;

/// The configuration of weights that come without one. Everything but the number of heads is in the shapes; heads are
/// those of the published size with this width.
pub(crate) fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<DitConfig, LoadError> {
    let shapes = Shapes { checkpoint };
    match layout {
        KeyLayout::Original => {}
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
    let depth = shapes.layers("blocks.");
    let [wide, _] = shapes.of("blocks.0.mlp.fc1.weight")?;
    let [rows, _] = shapes.of("y_embedder.embedding_table.weight")?;
    let [patch_out, _] = shapes.of("final_layer.linear.weight")?;
    let input_size = grid.saturating_mul(patch_size);
    let mut config = DitConfig::new(input_size, patch_size, in_channels, hidden_size, depth, num_heads);
    config.mlp_ratio = wide as f64 / hidden_size as f64;
    config.num_classes = rows.saturating_sub(1);
    config.learn_sigma = patch_out != config.patch_elements();
    config.validate().map_err(|source| LoadError::Config { file: checkpoint.file.clone(), source })?;
    Ok(config)
}

/// The shapes of a file that has no configuration.
pub(super) struct Shapes<'a> {
    pub(super) checkpoint: &'a Checkpoint,
}

impl Shapes<'_> {
    /// The shape of a key that must be there.
    pub(super) fn of<const D: usize>(&self, key: &str) -> Result<[usize; D], LoadError> {
        let shape = self.checkpoint.shape(key);
        let shape = shape.ok_or_else(|| self.refuse(&format!("'{key}' is missing")))?;
        shape.try_into().map_err(|_| self.refuse(&format!("'{key}' has shape {shape:?}, expected {D} axes")))
    }

    /// One more than the highest block with this prefix of which any weight is there.
    pub(super) fn layers(&self, prefix: &str) -> usize {
        let keys = self.checkpoint.keys();
        let layers =
            keys.filter_map(|key| key.strip_prefix(prefix)?.split_once('.')?.0.parse::<usize>().ok());
        layers.max().map_or(0, |last| last.saturating_add(1))
    }

    pub(super) fn refuse(&self, detail: &str) -> LoadError {
        LoadError::NotInferred { file: self.checkpoint.file.clone(), detail: detail.to_owned() }
    }
}
