//! The sizes of a T5 encoder without a configuration.

use super::Shapes;
use crate::T5Config;
use crate::load::checkpoint::Checkpoint;
use crate::load::error::LoadError;
use crate::load::file::Setting;
use crate::load::layout::KeyLayout;

/// The sizes in the header of a GGUF file, or the published ones where the shapes are those.
pub(crate) fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<T5Config, LoadError> {
    match layout {
        KeyLayout::LlamaCpp => header(checkpoint),
        KeyLayout::Original | KeyLayout::Diffusers => published(checkpoint),
    }
}

fn header(checkpoint: &Checkpoint) -> Result<T5Config, LoadError> {
    let shapes = Shapes { checkpoint };
    let setting = |name: &str| {
        let found =
            ["t5encoder", "t5"].iter().find_map(|kind| checkpoint.settings.get(&format!("{kind}.{name}")));
        match found {
            Some(Setting::Number(number)) => Some(*number),
            _ => None,
        }
    };
    let number = |name: &str| {
        let number = setting(name).map(|number| number as usize);
        number.ok_or_else(|| shapes.refuse(&format!("the header of the GGUF file lacks '{name}'")))
    };
    let xxl = T5Config::xxl();
    let [vocab_size, _] = shapes.of("token_embd.weight")?;
    let config = T5Config {
        vocab_size,
        d_model: number("embedding_length")?,
        d_kv: number("attention.key_length")?,
        d_ff: number("feed_forward_length")?,
        num_layers: number("block_count")?,
        num_heads: number("attention.head_count")?,
        relative_attention_num_buckets: number("attention.relative_buckets_count")?,
        layer_norm_epsilon: setting("attention.layer_norm_rms_epsilon")
            .or_else(|| setting("attention.layer_norm_epsilon"))
            // The header stores it as f32.
            .map_or(xxl.layer_norm_epsilon, |epsilon| (epsilon * 1e12).round() / 1e12),
        ..xxl
    };
    config.validate().map_err(|source| LoadError::Config { file: checkpoint.file.clone(), source })?;
    Ok(config)
}

fn published(checkpoint: &Checkpoint) -> Result<T5Config, LoadError> {
    let (shapes, xxl) = (Shapes { checkpoint }, T5Config::xxl());
    let gate = checkpoint.shape("encoder.block.0.layer.1.DenseReluDense.wi_0.weight");
    if gate == Some(&[xxl.d_ff, xxl.d_model]) && shapes.layers("encoder.block.") == xxl.num_layers {
        return Ok(xxl);
    }
    Err(shapes.refuse("the shapes of the weights do not tell all sizes of a T5 encoder"))
}
