//! Prompts as FLUX reads them.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use invardiff_models::{
    ClipText, ClipTokenizer, Encoded, FluxConfig, LoadOptions, Lora, T5Encoder, T5Tokenizer,
};

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::pretrained::{Pretrained, TextParts};

/// A prompt, encoded.
#[derive(Clone, Debug)]
pub struct Prompt {
    text: String,
    tokens: Tensor<3>,
    pooled: Tensor<2>,
    cut: Vec<Cut>,
}

/// The end of a prompt that an encoder does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Who does not read it.
    pub encoder: &'static str,
    /// How many tokens it reads.
    pub tokens: usize,
    /// What it leaves out.
    pub text: String,
}

impl Prompt {
    /// The prompt as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// One vector a token, by T5: `[1, tokens, channels]`.
    pub fn tokens(&self) -> &Tensor<3> {
        &self.tokens
    }

    /// One vector for the whole, by CLIP: `[1, channels]`.
    pub fn pooled(&self) -> &Tensor<2> {
        &self.pooled
    }

    /// What the encoders leave out of a long prompt, as the reference does.
    pub fn cut(&self) -> &[Cut] {
        &self.cut
    }
}

/// The text encoders of FLUX, opened but not loaded.
#[derive(Clone, Debug)]
pub struct PromptEncoder<'a> {
    parts: &'a TextParts,
    /// LoRA files, of which the parts for the encoders are merged.
    loras: &'a [Lora],
    dtype: Dtype,
    clip: ClipTokenizer,
    t5: T5Tokenizer,
}

impl<'a> PromptEncoder<'a> {
    /// The encoders of a model, for prompts of `max_sequence_length` T5 tokens.
    ///
    /// # Errors
    /// When the model has none, or a tokenizer cannot be opened.
    pub fn new(parts: &'a Pretrained, max_sequence_length: usize, dtype: Dtype) -> Result<Self> {
        let Some(text) = &parts.text else {
            let folder = parts.transformer.parent().unwrap_or(Path::new("")).display();
            return Err(Error::Model(format!(
                "{}: there are no text encoders beside the transformer; put the folders text_encoder, tokenizer, \
                 text_encoder_2 and tokenizer_2 of the diffusers layout into {folder}",
                parts.name
            )));
        };
        Ok(Self {
            parts: text,
            loras: &parts.loras,
            dtype: dtype.of_text(),
            clip: ClipTokenizer::load(&text.clip_tokenizer)?,
            t5: T5Tokenizer::load(&text.t5_tokenizer, max_sequence_length)?,
        })
    }

    /// The prompts, encoded one by one, so that none depends on the others. CLIP is loaded, used and dropped, then T5.
    ///
    /// # Errors
    /// When an encoder cannot be loaded, or does not belong to the transformer.
    pub fn encode(&self, prompts: &[&str], config: &FluxConfig, device: &Device) -> Result<Vec<Prompt>> {
        let ids = |encode: &dyn Fn(&str) -> Result<Encoded, invardiff_models::TokenizerError>| {
            prompts.iter().map(|prompt| encode(prompt)).collect::<Result<Vec<_>, _>>()
        };
        let (for_clip, for_t5) =
            (ids(&|prompt| self.clip.encode(prompt))?, ids(&|prompt| self.t5.encode(prompt))?);
        let pooled = self.pooled(&for_clip, config, device)?;
        let tokens = self.tokens(&for_t5, config, device)?;
        let cut = |encoder, encoded: &Encoded| {
            encoded.cut.clone().map(|text| Cut { encoder, tokens: encoded.tokens, text })
        };
        let all = prompts.iter().zip(pooled).zip(tokens).zip(for_clip.iter().zip(&for_t5));
        Ok(all
            .map(|(((text, pooled), tokens), (clip, t5))| Prompt {
                text: (*text).to_owned(),
                tokens,
                pooled,
                cut: cut("CLIP", clip).into_iter().chain(cut("T5", t5)).collect(),
            })
            .collect())
    }

    fn options(&self) -> LoadOptions {
        LoadOptions::default().with_dtype(self.dtype.burn()).with_loras(self.loras.to_vec())
    }

    fn pooled(&self, prompts: &[Encoded], config: &FluxConfig, device: &Device) -> Result<Vec<Tensor<2>>> {
        let clip = ClipText::load_with(&self.parts.clip, &self.options(), device)?.model;
        let (found, expected) = (clip.config().hidden_size, config.pooled_projection_dim);
        if found != expected {
            let name = config.name();
            let problem = format_args!(
                "CLIP's text has {found} channels, {name} takes {expected}: they do not belong together"
            );
            return Err(Error::file(&self.parts.clip, problem));
        }
        let encode = |prompt: &Encoded| Ok(clip.forward(clip.ids(&[&prompt.ids])?).pooled.cast(DType::F32));
        prompts.iter().map(encode).collect()
    }

    fn tokens(&self, prompts: &[Encoded], config: &FluxConfig, device: &Device) -> Result<Vec<Tensor<3>>> {
        let t5 = T5Encoder::load_with(&self.parts.t5, &self.options(), device)?.model;
        let (found, expected) = (t5.config().d_model, config.joint_attention_dim);
        if found != expected {
            let name = config.name();
            let problem = format_args!(
                "T5's tokens have {found} channels, {name} takes {expected}: they do not belong together"
            );
            return Err(Error::file(&self.parts.t5, problem));
        }
        let encode = |prompt: &Encoded| Ok(t5.forward(t5.ids(&[&prompt.ids])?).cast(DType::F32));
        prompts.iter().map(encode).collect()
    }
}
