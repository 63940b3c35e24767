//! The double-stream block.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use invardiff_runtime::{Executor, Kind, Site};

use super::attention::{Qkv, mix};
use super::rope::Rope;
use crate::nn::{Mlp, Norm, chunks, modulate, project, within_range};

/// One block in which image and prompt have their own weights and attend jointly.
#[derive(Module, Debug)]
pub struct DoubleBlock {
    /// The weights of the image stream.
    pub img: DoubleStream,
    /// The weights of the prompt stream.
    pub txt: DoubleStream,
}

/// The weights of one stream of a double-stream block.
#[derive(Module, Debug)]
pub struct DoubleStream {
    /// From the conditioning to the stream's six modulations.
    pub modulation: Linear,
    /// The norm before attention.
    pub norm1: Norm,
    /// Queries, keys and values.
    pub qkv: Qkv,
    /// The output projection of attention.
    pub proj: Linear,
    /// The norm before the feed-forward.
    pub norm2: Norm,
    /// Feed-forward.
    pub mlp: Mlp,
}

impl DoubleBlock {
    /// Runs the block. Joint attention is one site with two tensors, image and prompt, so that both are reused together.
    /// Attention and the two feed-forwards are taken before their gates; gates and modulations are computed at every step.
    ///
    /// # Shapes
    /// - `img`, result: `[batch, image_tokens, dim]`
    /// - `txt`, result: `[batch, text_tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    /// - `rope`: for the tokens of the prompt, then of the image
    pub fn forward<E: Executor>(
        &self,
        exec: &mut E,
        layer: u32,
        [img, txt]: [Tensor<3>; 2],
        c: Tensor<2>,
        rope: &Rope,
    ) -> [Tensor<3>; 2] {
        let [img_shift1, img_scale1, img_gate1, img_shift2, img_scale2, img_gate2] =
            chunks(self.img.modulation.forward(c.clone()));
        let [txt_shift1, txt_scale1, txt_gate1, txt_shift2, txt_scale2, txt_gate2] =
            chunks(self.txt.modulation.forward(c));
        let [img_attn, txt_attn] = exec.at(Site::new(Kind::ATTN, layer), |_| {
            let img = modulate(self.img.norm1.forward(img.clone()), img_shift1, img_scale1);
            let txt = modulate(self.txt.norm1.forward(txt.clone()), txt_shift1, txt_scale1);
            self.attend(img, txt, rope)
        });
        let img = img + img_attn * img_gate1;
        let txt = txt + txt_attn * txt_gate1;
        let [ff] = exec.at(Site::new(Kind::FF, layer), |_| {
            [self.img.mlp.forward(modulate(self.img.norm2.forward(img.clone()), img_shift2, img_scale2))]
        });
        let [context_ff] = exec.at(Site::new(Kind::CONTEXT_FF, layer), |_| {
            [self.txt.mlp.forward(modulate(self.txt.norm2.forward(txt.clone()), txt_shift2, txt_scale2))]
        });
        [img + ff * img_gate2, within_range(txt + context_ff * txt_gate2)]
    }

    /// The input of this block's attention for the image: its tokens after norm and modulation.
    ///
    /// # Shapes
    /// - `img`, result: `[batch, image_tokens, dim]`
    /// - `c`: `[batch, dim]`, the conditioning after its SiLU
    pub fn modulated_input(&self, img: Tensor<3>, c: Tensor<2>) -> Tensor<3> {
        let [shift, scale, ..]: [_; 6] = chunks(self.img.modulation.forward(c));
        modulate(self.img.norm1.forward(img), shift, scale)
    }

    /// Attention over the tokens of both streams, prompt first.
    ///
    /// # Shapes
    /// - `img`, first result: `[batch, image_tokens, dim]`
    /// - `txt`, second result: `[batch, text_tokens, dim]`
    fn attend(&self, img: Tensor<3>, txt: Tensor<3>, rope: &Rope) -> [Tensor<3>; 2] {
        let ([_, image_tokens, _], [_, text_tokens, _]) = (img.dims(), txt.dims());
        let [iq, ik, iv] = self.img.qkv.forward(img);
        let [tq, tk, tv] = self.txt.qkv.forward(txt);
        let joint = [[tq, iq], [tk, ik], [tv, iv]].map(|parts| Tensor::cat(parts.into(), 2));
        let mixed = mix(joint, rope);
        let txt = mixed.clone().narrow(1, 0, text_tokens);
        let img = mixed.narrow(1, text_tokens, image_tokens);
        [project(&self.img.proj, img), project(&self.txt.proj, txt)]
    }
}
