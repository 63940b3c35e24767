//! The sites of a FLUX transformer with their costs.

use invardiff_plan::shapes::{FluxShape, SingleFeature};
use invardiff_runtime::Topology;

use super::canvas::Canvas;
use super::config::{FluxConfig, MLP_RATIO};

impl FluxConfig {
    /// The sizes that costs depend on, for images and prompts of this size.
    pub fn shape(&self, canvas: Canvas) -> FluxShape {
        FluxShape {
            double: self.num_layers,
            single: self.num_single_layers,
            hidden: self.hidden_size(),
            mlp_ratio: MLP_RATIO as f64,
            img_tokens: canvas.image_tokens(),
            txt_tokens: canvas.text_tokens,
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            context_dim: self.joint_attention_dim,
            pooled_dim: self.pooled_projection_dim,
            guidance_embed: self.guidance_embeds,
            single_feature: SingleFeature::Projected,
        }
    }

    /// The sites of one forward, with shapes and FLOPs for one image; those of single-stream blocks are the projected
    /// contributions. The name includes the image size, as in `flux1-dev-1024-projected`.
    pub fn topology(&self, canvas: Canvas) -> Topology {
        self.shape(canvas).topology(format!("{}-{}-projected", self.name(), canvas.name()))
    }

    /// [`FluxConfig::topology`] of an edit: trunk and blocks see the tokens of a reference image as well, `[rows, columns]` of them; the
    /// output layer does not.
    pub fn topology_with(&self, canvas: Canvas, reference: [usize; 2]) -> Topology {
        let own = self.topology(canvas);
        let [rows, columns] = reference;
        if rows * columns == 0 {
            return own;
        }
        let mut shape = self.shape(canvas);
        shape.img_tokens += rows * columns;
        let name = format!("{}-kontext-{}-r{rows}x{columns}-projected", self.name(), canvas.name());
        let both = shape.topology(name);
        Topology { head_flops: own.head_flops, output_elements: own.output_elements, ..both }
    }
}
