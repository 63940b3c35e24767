//! The transformer of FLUX.1 (Black Forest Labs 2024); its one forward calls an executor at every cacheable value.

mod attention;
mod build;
mod canvas;
mod cond;
mod config;
mod double;
mod embed;
mod head;
mod named;
mod random;
mod rope;
mod single;
mod topology;

pub use attention::{Qkv, RmsNorm};
pub use canvas::Canvas;
pub use cond::{CondError, FluxCond};
pub use config::FluxConfig;
pub use double::{DoubleBlock, DoubleStream};
pub use embed::MlpEmbedder;
pub use head::OutputLayer;
pub use rope::Rope;
pub use single::SingleBlock;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::silu;
use burn::tensor::{DType, Tensor};
use invardiff_runtime::{Block, BlockAction, Denoiser, Executor, Site, Topology};

use crate::nn::{TimestepEmbedder, project};

/// Times and guidance scales are multiplied by this factor before they are embedded.
const TIME_FACTOR: f32 = 1000.0;

/// A FLUX transformer over packed latents.
///
/// Made by [`Flux::load`], [`Flux::from_bytes`] or [`Flux::random`], for images of the default [`Canvas`];
/// [`Flux::with_canvas`] sets another size.
#[derive(Module, Debug)]
pub struct Flux {
    /// From packed latents to tokens.
    pub img_in: Linear,
    /// From prompt embeddings to tokens.
    pub txt_in: Linear,
    /// Embeds times.
    pub time_in: TimestepEmbedder,
    /// Embeds guidance scales, in models that take one.
    pub guidance_in: Option<TimestepEmbedder>,
    /// Embeds the pooled prompt.
    pub vector_in: MlpEmbedder,
    /// The double-stream blocks: image and prompt have their own weights.
    pub double_blocks: Vec<DoubleBlock>,
    /// The single-stream blocks, after the double-stream ones.
    pub single_blocks: Vec<SingleBlock>,
    /// From tokens to packed latents, outside the trunk.
    pub output: OutputLayer,
    #[module(skip)]
    config: FluxConfig,
    #[module(skip)]
    canvas: Canvas,
    /// Rows and columns of a reference image in tokens; none in `[0, 0]`.
    #[module(skip)]
    reference: [usize; 2],
}

impl Flux {
    /// Returns the predicted velocity.
    ///
    /// The trunk (both input layers and all blocks) is itself a site that contains the sites of the blocks; its value is
    /// the tokens of the image, and of a reference image. When it is recalled, `x` is ignored and only the output layer runs, with the conditioning of
    /// the current step.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, image_tokens, out_channels]`
    /// - `t`: `[batch]`, sigma in `[0, 1]`
    /// - `cond`: of the same batch, made for the model's canvas; what it has of an image goes in beside `x`
    pub fn forward<E: Executor>(
        &self,
        exec: &mut E,
        x: Tensor<3>,
        t: Tensor<1>,
        cond: &FluxCond,
    ) -> Tensor<3> {
        let c = silu(self.embed(t, cond));
        let [_, own_tokens, _] = x.dims();
        let [img] = exec.at(Site::TRUNK, |exec| {
            let streams = [project(&self.img_in, cond.beside(x)), project(&self.txt_in, cond.text.clone())];
            let [double, count] =
                [self.double_blocks.len(), self.double_blocks.len() + self.single_blocks.len()];
            let [img, txt] = (0..).zip(&self.double_blocks).fold(streams, |[img, txt], (layer, block)| {
                let place = Block { index: layer as usize, count };
                let hidden = || [img.clone(), txt.clone()];
                match exec.before_block(place, hidden, || block.modulated_input(img.clone(), c.clone())) {
                    BlockAction::Compute => block.forward(exec, layer, [img, txt], c.clone(), &cond.rope),
                    BlockAction::Skip => [img, txt],
                    BlockAction::Replace(streams) => streams,
                }
            });
            let ([_, image_tokens, _], [_, text_tokens, _]) = (img.dims(), txt.dims());
            let joint = Tensor::cat(vec![txt, img], 1);
            let joint = (0..).zip(&self.single_blocks).fold(joint, |x, (layer, block)| {
                let place = Block { index: double + layer as usize, count };
                let hidden = || {
                    [(text_tokens, image_tokens), (0, text_tokens)]
                        .map(|(from, n)| x.clone().narrow(1, from, n))
                };
                match exec.before_block(place, hidden, || block.modulated_input(x.clone(), c.clone())) {
                    BlockAction::Compute => block.forward(exec, layer, x, c.clone(), &cond.rope),
                    BlockAction::Skip => x,
                    BlockAction::Replace([img, txt]) => Tensor::cat(vec![txt, img], 1),
                }
            });
            // The product is a new tensor: a view that is kept would keep the prompt's tokens in memory as well.
            [joint.narrow(1, text_tokens, image_tokens) * 1.0]
        });
        let [_, image_tokens, _] = img.dims();
        let own = if own_tokens < image_tokens { img.narrow(1, 0, own_tokens) } else { img };
        self.output.forward(own, c)
    }

    /// The conditioning of the blocks before its SiLU: the sum of time, guidance and pooled prompt.
    ///
    /// # Shapes
    /// - `t`: `[batch]`, sigma in `[0, 1]`
    /// - result: `[batch, dim]`
    pub fn embed(&self, t: Tensor<1>, cond: &FluxCond) -> Tensor<2> {
        let time = self.time_in.forward(t.cast(DType::F32) * TIME_FACTOR);
        let time = match (&self.guidance_in, &cond.guidance) {
            (Some(embedder), Some(scale)) => time + embedder.forward(scale.clone() * TIME_FACTOR),
            (None, _) | (_, None) => time,
        };
        time + self.vector_in.forward(cond.pooled.clone())
    }

    /// The same weights for images and prompts of another size.
    pub fn with_canvas(mut self, canvas: Canvas) -> Self {
        self.canvas = canvas;
        self
    }

    /// The same weights for edits of a reference image of `rows` x `columns` packed latent tokens (FLUX.1-Kontext); of none, if
    /// either is 0.
    pub fn with_reference(mut self, rows: usize, columns: usize) -> Self {
        self.reference = [rows, columns];
        self
    }

    /// Rows and columns of the reference image in tokens; 0 without one.
    pub fn reference(&self) -> [usize; 2] {
        self.reference
    }

    /// The size of images and prompts.
    pub fn canvas(&self) -> Canvas {
        self.canvas
    }

    /// The model's sizes.
    pub fn config(&self) -> &FluxConfig {
        &self.config
    }

    /// The element type of the weights.
    pub fn dtype(&self) -> DType {
        self.img_in.weight.dtype()
    }
}

impl Denoiser<3> for Flux {
    /// Prompt and guidance scale of the batch.
    type Cond = FluxCond;

    fn topology(&self) -> Topology {
        self.config.topology_with(self.canvas, self.reference)
    }

    /// The velocity at sigma `t`.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, image_tokens, out_channels]`
    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, cond: &FluxCond) -> Tensor<3> {
        let ([batch, ..], dtype) = (x.dims(), x.dtype());
        let t = Tensor::full([batch], t, (&x.device(), DType::F32));
        self.forward(exec, x.cast(self.dtype()), t, cond).cast(dtype)
    }
}
