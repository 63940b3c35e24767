//! A configuration read off the shapes of a FLUX transformer's weights.

use crate::FluxConfig;
use crate::load::checkpoint::Checkpoint;
use crate::load::error::LoadError;
use crate::load::layout::KeyLayout;

use super::Shapes;

/// Names of the keys whose shapes tell the sizes.
struct Names {
    image: &'static str,
    text: &'static str,
    pooled: &'static str,
    guidance: &'static str,
    double: &'static str,
    single: &'static str,
    /// The last layer, to the output's channels.
    output: &'static str,
    /// The query norms of a double-stream and of a single-stream block.
    norms: [&'static str; 2],
}

const ORIGINAL: Names = Names {
    image: "img_in.weight",
    text: "txt_in.weight",
    pooled: "vector_in.in_layer.weight",
    guidance: "guidance_in.in_layer.weight",
    double: "double_blocks.",
    single: "single_blocks.",
    output: "final_layer.linear.weight",
    norms: ["double_blocks.0.img_attn.norm.query_norm.scale", "single_blocks.0.norm.query_norm.scale"],
};

const DIFFUSERS: Names = Names {
    image: "x_embedder.weight",
    text: "context_embedder.weight",
    pooled: "time_text_embed.text_embedder.linear_1.weight",
    guidance: "time_text_embed.guidance_embedder.linear_1.weight",
    double: "transformer_blocks.",
    single: "single_transformer_blocks.",
    output: "proj_out.weight",
    norms: ["transformer_blocks.0.attn.norm_q.weight", "single_transformer_blocks.0.attn.norm_q.weight"],
};

/// The configuration of weights that come without one. The shapes determine everything but how positions rotate the channels of a
/// head, which is known for the published models only.
pub(crate) fn infer(checkpoint: &Checkpoint, layout: KeyLayout) -> Result<FluxConfig, LoadError> {
    let names = match layout {
        KeyLayout::Original | KeyLayout::LlamaCpp => ORIGINAL,
        KeyLayout::Diffusers => DIFFUSERS,
    };
    let shapes = Shapes { checkpoint };
    let [hidden, in_channels] = shapes.of(names.image)?;
    let [_, joint_attention_dim] = shapes.of(names.text)?;
    let [_, pooled_projection_dim] = shapes.of(names.pooled)?;
    let norm = names.norms.into_iter().find(|key| checkpoint.shape(key).is_some());
    let [head] = shapes.of(norm.unwrap_or(names.norms[0]))?;
    let published = FluxConfig::published(false);
    if head != published.attention_head_dim || !hidden.is_multiple_of(head) {
        return Err(shapes.refuse(&format!(
            "a token has {hidden} channels and a head {head}, so how positions turn them is unknown (published models have heads of {})",
            published.attention_head_dim
        )));
    }
    let [out_channels, _] = shapes.of(names.output)?;
    let config = FluxConfig {
        in_channels,
        out_channels,
        num_layers: shapes.layers(names.double),
        num_single_layers: shapes.layers(names.single),
        num_attention_heads: hidden / head,
        joint_attention_dim,
        pooled_projection_dim,
        guidance_embeds: checkpoint.shape(names.guidance).is_some(),
        ..published
    };
    config.validate().map_err(|source| LoadError::Config { file: checkpoint.file.clone(), source })?;
    Ok(config)
}
