//! The transformer of FLUX.1 (Black Forest Labs 2024), with the seam in its one forward.

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
use invardiff_runtime::{Block, Denoiser, Executor, Passage, Site, Topology};

use crate::dit::{TimestepEmbedder, project};

/// What the model multiplies times and guidance scales with before it embeds them.
const TIME_FACTOR: f32 = 1000.0;

/// A FLUX transformer over packed latents.
///
/// Made by [`Flux::load`], [`Flux::from_bytes`] or [`Flux::random`], for pictures of the default [`Canvas`];
/// [`Flux::with_canvas`] changes that.
#[derive(Module, Debug)]
pub struct Flux {
    /// Packed latents to tokens.
    pub img_in: Linear,
    /// Prompt embeddings to tokens.
    pub txt_in: Linear,
    /// Times to vectors.
    pub time_in: TimestepEmbedder,
    /// Guidance scales to vectors, where the model is told them.
    pub guidance_in: Option<TimestepEmbedder>,
    /// The pooled prompt to a vector.
    pub vector_in: MlpEmbedder,
    /// The blocks with two streams.
    pub double_blocks: Vec<DoubleBlock>,
    /// The blocks with one stream, after them.
    pub single_blocks: Vec<SingleBlock>,
    /// Tokens to packed latents.
    pub output: OutputLayer,
    #[module(skip)]
    config: FluxConfig,
    #[module(skip)]
    canvas: Canvas,
}

impl Flux {
    /// The predicted velocity.
    ///
    /// The trunk (both input maps and all blocks) is one site around those of the blocks; its value is the picture's tokens
    /// alone. When it is recalled, the current latents are not looked at and only the output layer runs, with the step's
    /// own conditioning.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, image_tokens, in_channels]`
    /// - `t`: `[batch]`, sigma in `[0, 1]`
    /// - `cond`: of the same batch, made for the model's canvas
    pub fn forward<E: Executor>(
        &self,
        exec: &mut E,
        x: Tensor<3>,
        t: Tensor<1>,
        cond: &FluxCond,
    ) -> Tensor<3> {
        let c = silu(self.embed(t, cond));
        let [img] = exec.at(Site::TRUNK, |exec| {
            let streams = [project(&self.img_in, x), project(&self.txt_in, cond.text.clone())];
            let [double, count] =
                [self.double_blocks.len(), self.double_blocks.len() + self.single_blocks.len()];
            let [img, txt] = (0..).zip(&self.double_blocks).fold(streams, |[img, txt], (layer, block)| {
                let place = Block { index: layer as usize, count };
                let hidden = || [img.clone(), txt.clone()];
                match exec.before_block(place, hidden, || block.enter(img.clone(), c.clone())) {
                    Passage::Compute => block.forward(exec, layer, [img, txt], c.clone(), &cond.rope),
                    Passage::Skip => [img, txt],
                    Passage::Replace(streams) => streams,
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
                match exec.before_block(place, hidden, || block.enter(x.clone(), c.clone())) {
                    Passage::Compute => block.forward(exec, layer, x, c.clone(), &cond.rope),
                    Passage::Skip => x,
                    Passage::Replace([img, txt]) => Tensor::cat(vec![txt, img], 1),
                }
            });
            // The product is a tensor of its own: kept, a mere view would keep the prompt's tokens as well.
            [joint.narrow(1, text_tokens, image_tokens) * 1.0]
        });
        self.output.forward(img, c)
    }

    /// The conditioning of the blocks before its SiLU: time, guidance and pooled prompt.
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

    /// The same weights for pictures and prompts of another size.
    pub fn with_canvas(mut self, canvas: Canvas) -> Self {
        self.canvas = canvas;
        self
    }

    /// The size of the pictures and prompts.
    pub fn canvas(&self) -> Canvas {
        self.canvas
    }

    /// The model's sizes.
    pub fn config(&self) -> &FluxConfig {
        &self.config
    }

    /// Element type of the weights.
    pub fn dtype(&self) -> DType {
        self.img_in.weight.dtype()
    }
}

impl Denoiser<3> for Flux {
    /// Prompt and guidance scale of the batch.
    type Cond = FluxCond;

    fn topology(&self) -> Topology {
        self.config.topology(self.canvas)
    }

    /// The velocity at sigma `t`.
    ///
    /// # Shapes
    /// - `x`, result: `[batch, image_tokens, in_channels]`
    fn predict<E: Executor>(&self, exec: &mut E, x: Tensor<3>, t: f32, cond: &FluxCond) -> Tensor<3> {
        let ([batch, ..], dtype) = (x.dims(), x.dtype());
        let t = Tensor::full([batch], t, (&x.device(), DType::F32));
        self.forward(exec, x.cast(self.dtype()), t, cond).cast(dtype)
    }
}

/// In f16, the hidden state held to the finite numbers, as the reference does; in other types, the same.
pub(crate) fn within_range(x: Tensor<3>) -> Tensor<3> {
    match x.dtype() {
        DType::F16 => x.clamp(-65504.0, 65504.0),
        _ => x,
    }
}
