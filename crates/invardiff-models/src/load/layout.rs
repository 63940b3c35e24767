//! Under which names a file keeps the weights.

use super::checkpoint::Checkpoint;
use crate::dit::{DitConfig, position_table};

/// The naming of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLayout {
    /// The state dict of the model's authors.
    Original,
    /// The model in the diffusers library: `DiTTransformer2DModel` (earlier `Transformer2DModel`),
    /// `FluxTransformer2DModel`.
    Diffusers,
}

/// Where training scripts put the weights of a DiT inside of a `.pt`; the averaged ones are preferred.
pub(crate) const DIT_SECTIONS: [&str; 5] = ["ema", "model", "state_dict", "model_state_dict", "module"];

impl KeyLayout {
    pub(crate) const ALL: [Self; 2] = [Self::Original, Self::Diffusers];

    /// The key that tells the layout of a DiT.
    pub(crate) fn dit_signature(self) -> &'static str {
        match self {
            Self::Original => "x_embedder.proj.weight",
            Self::Diffusers => "pos_embed.proj.weight",
        }
    }

    /// The layout of a file, told by a key of each layout, and which of the sections the weights are in.
    pub(crate) fn detect(
        checkpoint: &Checkpoint,
        signature: impl Fn(Self) -> &'static str,
        sections: &[&'static str],
    ) -> Option<(Self, Option<&'static str>)> {
        let sections = std::iter::once(None).chain(sections.iter().copied().map(Some));
        sections.into_iter().find_map(|section| {
            let found = Self::ALL.into_iter().find(|layout| {
                let key = section.map_or_else(
                    || signature(*layout).to_owned(),
                    |section| format!("{section}.{}", signature(*layout)),
                );
                checkpoint.shape(&key).is_some()
            });
            found.map(|layout| (layout, section))
        })
    }

    /// Where a DiT's weight with this name in the original state dict is to be found.
    pub(crate) fn dit_source(self, key: &str, config: &DitConfig) -> Source {
        match self {
            Self::Original => Source::Key(key.to_owned()),
            Self::Diffusers if key == "pos_embed" => Source::Values(position_table(config)),
            Self::Diffusers => diffusers(key, config.depth),
        }
    }
}

/// Where a weight comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// One tensor.
    Key(String),
    /// Several tensors, one below the other.
    Rows(Vec<String>),
    /// Equal copies of one tensor.
    Copies(Vec<String>),
    /// A stretch of one tensor along an axis: as long as the weight, from `start`; the tensor is `whole` long.
    Part {
        /// The tensor.
        key: String,
        /// The axis that is cut.
        axis: usize,
        /// Where the stretch begins.
        start: usize,
        /// The tensor's length along the axis.
        whole: usize,
    },
    /// One tensor, its upper and lower half of rows exchanged.
    Swapped(String),
    /// One tensor, a convolution of single pixels, as the matrix that it is.
    Pointwise(String),
    /// Values that the file does not hold.
    Values(Vec<f32>),
}

/// Names of diffusers' layout. Queries, keys and values are apart; the embedders of timestep and class stand in every
/// block, with the same values.
fn diffusers(key: &str, depth: usize) -> Source {
    if let Some(rest) = key.strip_prefix("blocks.")
        && let Some((layer, part)) = rest.split_once('.')
    {
        return block(layer, part);
    }
    let copies = |name: &str| {
        Source::Copies((0..depth).map(|i| format!("transformer_blocks.{i}.norm1.emb.{name}")).collect())
    };
    let (stem, field) = key.rsplit_once('.').unwrap_or((key, ""));
    match stem {
        "x_embedder.proj" => Source::Key(format!("pos_embed.proj.{field}")),
        "t_embedder.mlp.0" => copies(&format!("timestep_embedder.linear_1.{field}")),
        "t_embedder.mlp.2" => copies(&format!("timestep_embedder.linear_2.{field}")),
        "y_embedder.embedding_table" => copies(&format!("class_embedder.embedding_table.{field}")),
        "final_layer.adaLN_modulation.1" => Source::Key(format!("proj_out_1.{field}")),
        "final_layer.linear" => Source::Key(format!("proj_out_2.{field}")),
        _ => Source::Key(key.to_owned()),
    }
}

fn block(layer: &str, part: &str) -> Source {
    let name = |part: &str| format!("transformer_blocks.{layer}.{part}");
    let (stem, field) = part.rsplit_once('.').unwrap_or((part, ""));
    match stem {
        "attn.qkv" => {
            Source::Rows(["to_q", "to_k", "to_v"].map(|map| name(&format!("attn1.{map}.{field}"))).into())
        }
        "attn.proj" => Source::Key(name(&format!("attn1.to_out.0.{field}"))),
        "mlp.fc1" => Source::Key(name(&format!("ff.net.0.proj.{field}"))),
        "mlp.fc2" => Source::Key(name(&format!("ff.net.2.{field}"))),
        "adaLN_modulation.1" => Source::Key(name(&format!("norm1.linear.{field}"))),
        _ => Source::Key(name(part)),
    }
}
