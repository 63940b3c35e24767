//! The naming of weights in files.

/// The naming of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyLayout {
    /// The state dict of the model's authors.
    Original,
    /// The model in the diffusers or transformers library: `DiTTransformer2DModel` (earlier `Transformer2DModel`),
    /// `FluxTransformer2DModel`, `AutoencoderKL`, `T5EncoderModel`, `CLIPTextModel`.
    Diffusers,
    /// The names of llama.cpp, which GGUF files of T5 have.
    LlamaCpp,
}

impl KeyLayout {
    /// The namings that LoRA files use.
    pub(crate) const ALL: [Self; 2] = [Self::Original, Self::Diffusers];
}
